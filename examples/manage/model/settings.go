package model

import (
	"context"
	"fmt"
	"strconv"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
)

// Setting is what can be changed about a key.
type Setting struct {
	Name    string
	Value   string
	Offered bool // it can be changed

	warning string // to be confirmed first; empty: nothing
	change  func(ctx context.Context, d *Desk) error
}

// Settings returns the settings of the key.
func (o *Open) Settings() []Setting {
	config := optionIsOn(o.Info, "authnrCfg")
	lengths := config && optionIsOn(o.Info, "setMinPINLength")
	return []Setting{
		{"Minimum PIN length", fmt.Sprint(o.Info.MinPINLength), lengths, "", askMinPINLength},
		{"PIN change at next use", onOff(o.Info.ForcePINChange), lengths && o.PINSet && !o.Info.ForcePINChange,
			"The key will want a new PIN before it does anything that needs the PIN.", forcePINChange},
		{"Complex PINs only", complexity(o.Info), lengths && isOff(o.Info.PINComplexityPolicy),
			"The key will refuse simple PINs. Only a reset undoes it.", refuseSimplePINs},
		{"Always verify the user", option(o.Info, "alwaysUv"), config && o.Can("alwaysUv"), "", toggleAlwaysUV},
		{"Enterprise attestation", option(o.Info, "ep"), config && o.Can("ep") && !optionIsOn(o.Info, "ep"),
			"The key will identify itself to the sites that it was made for. Only a reset undoes it.", enableEnterprise},
		{"Long touch to reset", onOff(o.Info.LongTouchForReset), config && takesLongTouch(o.Info),
			"A reset will need a touch of several seconds. Only a reset undoes it.", enableLongTouch},
	}
}

// Change changes a setting, after the questions that it takes.
func (d *Desk) Change(s Setting) {
	if !s.Offered {
		return
	}
	d.manage(task{name: "Changing " + s.Name, done: "Changed: " + s.Name + ".", run: func(ctx context.Context) error {
		if s.warning != "" {
			if err := d.confirm(ctx, s.Name+"?", s.warning, "Change"); err != nil {
				return err
			}
		}
		return s.change(ctx, d)
	}})
}

func askMinPINLength(ctx context.Context, d *Desk) error {
	least, most := d.key.Info().MinPINLength, d.key.Info().MaxPINLength
	q := Question{
		Title: "Minimum PIN length", Initial: fmt.Sprint(least),
		Detail: fmt.Sprintf("From %d to %d characters. It can only grow, until the key is reset.", least, most),
	}
	for {
		answer, err := d.askText(ctx, q)
		if err != nil {
			return err
		}
		if n, err := strconv.ParseUint(answer, 10, 8); err == nil && n >= least && n <= most {
			return d.key.SetMinPINLength(ctx, &authenticator.MinPINLengthOptions{MinPINLength: int(n)})
		}
		q.Complaint = "That is no such number."
	}
}

func forcePINChange(ctx context.Context, d *Desk) error {
	return d.key.SetMinPINLength(ctx, &authenticator.MinPINLengthOptions{ForcePINChange: true})
}

func refuseSimplePINs(ctx context.Context, d *Desk) error {
	return d.key.SetMinPINLength(ctx, &authenticator.MinPINLengthOptions{PINComplexityPolicy: true})
}

func toggleAlwaysUV(ctx context.Context, d *Desk) error { return d.key.ToggleAlwaysUV(ctx) }
func enableEnterprise(ctx context.Context, d *Desk) error {
	return d.key.EnableEnterpriseAttestation(ctx)
}
func enableLongTouch(ctx context.Context, d *Desk) error { return d.key.EnableLongTouchForReset(ctx) }

func optionIsOn(info *ctap2.Info, name string) bool {
	on, _ := info.Option(name)
	return on
}

func option(info *ctap2.Info, name string) string {
	on, present := info.Option(name)
	if !present {
		return "not supported"
	}
	return onOff(on)
}

func complexity(info *ctap2.Info) string {
	if info.PINComplexityPolicy == nil {
		return "not supported"
	}
	return onOff(*info.PINComplexityPolicy)
}

func isOff(p *bool) bool { return p != nil && !*p }

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
