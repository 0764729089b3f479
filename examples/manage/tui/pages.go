package tui

import (
	"fmt"

	"github.com/keyfob-go/keyfob/examples/manage/model"
)

// page is a list of rows, one of which is selected.
type page struct {
	title string
	rows  []row
	empty string // what to say when there are no rows
	keys  []key  // what can be done whichever row is selected
}

// row is a line of a page.
type row struct {
	name, value string
	note        string // what else there is to say when it is selected
	keys        []key  // what can be done with it
}

// key is a key of the keyboard.
type key struct {
	name string // as tea.KeyPressMsg.String has it
	does string
	do   func()
}

// place is where the user is.
type place int

const (
	atKeys place = iota
	atKey
	atPasskeys
	atFingerprints
	atSettings
	atAbout
)

func (p *program) page() page {
	switch p.place {
	case atKey:
		return p.keyPage(p.state.Open)
	case atPasskeys:
		return p.passkeysPage(p.state.Open)
	case atFingerprints:
		return p.fingerprintsPage(p.state.Open)
	case atSettings:
		return p.settingsPage(p.state.Open)
	case atAbout:
		return aboutPage(p.state.Open)
	}
	return p.keysPage()
}

func (p *program) keysPage() page {
	pg := page{title: "Security keys", empty: "Plug in a security key."}
	for _, k := range p.state.Keys {
		r := row{name: p.state.NameOf(k), value: k.Path, keys: []key{
			{"enter", "manage", func() { p.desk.Enter(k) }},
			{"i", "identify", func() { p.desk.Identify(k) }},
		}}
		if k.Err != nil {
			r.note = "It cannot be used: " + k.Err.Error()
		}
		pg.rows = append(pg.rows, r)
	}
	return pg
}

func (p *program) keyPage(o *model.Open) page {
	return page{
		title: p.state.NameOf(o.Key),
		rows: []row{
			p.way("Passkeys", passkeys(o), o.HasPasskeys(), atPasskeys),
			p.way("Fingerprints", fingerprints(o), o.HasFingerprints(), atFingerprints),
			p.pinRow(o),
			p.way("Settings", "", o.Can("authnrCfg"), atSettings),
			p.way("About this key", "", true, atAbout),
			p.resetRow(o),
		},
		keys: []key{{"i", "identify", func() { p.desk.Identify(o.Key) }}},
	}
}

const notSupported = "not supported"

// way is a row that leads to another page, if the key can do what is there.
func (p *program) way(name, value string, offered bool, to place) row {
	if !offered {
		return row{name: name, value: notSupported}
	}
	return row{name: name, value: value, keys: []key{{"enter", "open", func() { p.visit(to) }}}}
}

func (p *program) pinRow(o *model.Open) row {
	r := row{name: "PIN", value: o.PINState()}
	switch {
	case !o.Can("clientPin"):
	case o.PINSet:
		r.keys = []key{{"enter", "change", p.desk.SetPIN}}
	default:
		r.keys = []key{{"enter", "set", p.desk.SetPIN}}
	}
	return r
}

func (p *program) resetRow(o *model.Open) row {
	if !o.HasReset() {
		return row{name: "Reset", value: notSupported}
	}
	return row{name: "Reset", value: "erases the key", keys: []key{{"enter", "reset", p.desk.Reset}}}
}

func passkeys(o *model.Open) string {
	if !o.PasskeysRead {
		return ""
	}
	return fmt.Sprintf("%d, room for %d more", len(o.Passkeys), o.PasskeyRoom)
}

func fingerprints(o *model.Open) string {
	if !o.FingerprintsRead {
		return ""
	}
	return fmt.Sprint(len(o.Fingerprints))
}

func (p *program) passkeysPage(o *model.Open) page {
	if !o.PasskeysRead {
		return unread("Passkeys", p.desk.ReadPasskeys)
	}
	pg := page{title: "Passkeys", empty: "There are no passkeys on this key."}
	for _, k := range o.Passkeys {
		pg.rows = append(pg.rows, row{name: k.Site, value: k.Name(), note: about(k), keys: []key{
			{"d", "delete", func() { p.desk.DeletePasskey(k) }},
			{"r", "rename", func() { p.desk.RenamePasskey(k) }},
		}})
	}
	return pg
}

func about(k model.Passkey) string {
	note := k.Algorithm
	if k.DisplayName != "" {
		note = k.DisplayName + ", " + note
	}
	if k.Protected {
		note += ", hidden without the PIN"
	}
	return note
}

func (p *program) fingerprintsPage(o *model.Open) page {
	if !o.FingerprintsRead {
		return unread("Fingerprints", p.desk.ReadFingerprints)
	}
	pg := page{
		title: "Fingerprints", empty: "The key knows no finger.",
		keys: []key{{"a", "add", p.desk.AddFingerprint}},
	}
	for _, f := range o.Fingerprints {
		pg.rows = append(pg.rows, row{name: f.Name, keys: []key{
			{"d", "delete", func() { p.desk.DeleteFingerprint(f) }},
			{"r", "rename", func() { p.desk.RenameFingerprint(f) }},
		}})
	}
	return pg
}

// unread is a page whose contents the user did not let the program read.
func unread(title string, read func()) page {
	return page{title: title, empty: "They were not read.", keys: []key{{"enter", "read", read}}}
}

func (p *program) settingsPage(o *model.Open) page {
	pg := page{title: "Settings"}
	for _, s := range o.Settings() {
		r := row{name: s.Name, value: s.Value}
		if s.Offered {
			r.keys = []key{{"enter", "change", func() { p.desk.Change(s) }}}
		}
		pg.rows = append(pg.rows, r)
	}
	return pg
}

func aboutPage(o *model.Open) page {
	pg := page{title: "About"}
	for _, f := range o.About() {
		pg.rows = append(pg.rows, row{name: f.Name, value: f.Value})
	}
	return pg
}
