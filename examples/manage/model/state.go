package model

import (
	"errors"
	"slices"
	"strings"
	"unicode"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/hid"
)

// State is all that a screen shows. It is a snapshot: what it points to never changes, and must not be changed. Its texts
// can be shown as they are, in one line each; what keys say in them has lost its control characters.
type State struct {
	Keys     []hid.Info // those that are plugged in, in the order in which they came
	Open     *Open      // the one that is managed; nil: none
	Task     *Task      // what is being done; nil: nothing, and commands are taken
	Question *Question  // what the user must answer before the task goes on; nil: nothing
	Notice   *Notice    // how the last task ended; nil: with nothing to say
}

// Open is the key that is managed.
type Open struct {
	Key  hid.Info
	Info *ctap2.Info // what it says about itself

	PINSet     bool
	PINRetries int  // wrong PINs until it blocks; -1: unknown
	PINLocked  bool // until the key is unplugged and plugged in again

	Passkeys     []Passkey
	PasskeysRead bool // Passkeys and PasskeyRoom are known
	PasskeyRoom  int  // for how many more there is room, at most

	Fingerprints     []Fingerprint
	FingerprintsRead bool
}

// Can reports whether the key has an option at all, whether it is on or off.
func (o *Open) Can(options ...string) bool {
	for _, name := range options {
		if _, present := o.Info.Option(name); present {
			return true
		}
	}
	return false
}

// HasPasskeys reports whether the key can list its passkeys.
func (o *Open) HasPasskeys() bool { return o.Can("credMgmt", "credentialMgmtPreview") }

// HasFingerprints reports whether the key has a fingerprint sensor.
func (o *Open) HasFingerprints() bool { return o.Can("bioEnroll", "userVerificationMgmtPreview") }

// HasReset reports whether the key can be reset: keys that speak U2F only cannot.
func (o *Open) HasReset() bool {
	return slices.ContainsFunc(o.Info.Versions, func(v string) bool { return strings.HasPrefix(v, "FIDO_") })
}

// Passkey is a credential that the key stores.
type Passkey struct {
	ID          []byte
	Site        string // the RP ID
	Account     string // may be empty, as may the next
	DisplayName string
	Protected   bool // not even its existence shows without the PIN
	Algorithm   string

	user ctap2.User // as the key has it
}

// Name names the passkey to people.
func (p *Passkey) Name() string {
	switch {
	case p.Account != "":
		return p.Account
	case p.DisplayName != "":
		return p.DisplayName
	}
	return "an account without a name"
}

// Fingerprint is a finger that the key knows.
type Fingerprint struct {
	ID   []byte
	Name string // never empty
}

// Task is what is being done.
type Task struct {
	Name     string // "Reading the passkeys"
	Touch    string // what the user must touch the key for, now: "reset the key"; empty: the key does not wait
	Progress string // how it goes; may be empty
}

// Notice is how a task ended.
type Notice struct {
	Text   string
	Hint   string // what the user can do next; may be empty
	Failed bool
}

// failure says to people what an error means.
func failure(err error) *Notice {
	if authenticator.KindOf(err) == authenticator.KindCancelled {
		return &Notice{Text: "Cancelled."}
	}
	text := strings.ReplaceAll(err.Error(), "authenticator: ", "")
	if wrong := (*authenticator.PINError)(nil); errors.As(err, &wrong) {
		text = wrong.Error()
	}
	return &Notice{Text: clean(text), Hint: authenticator.AdviceOn(err).Hint, Failed: true}
}

// clean makes a text of a key's fit for one line of any screen: without control characters, and without those that turn
// the direction of what follows.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// NameOf names a key to people: by its maker and product, and also by where it is if there is another one like it.
func (s *State) NameOf(key hid.Info) string {
	for _, other := range s.Keys {
		if other.Path != key.Path && keyName(other) == keyName(key) {
			return keyName(key) + " at " + key.Path
		}
	}
	return keyName(key)
}

func keyName(key hid.Info) string {
	if name := strings.TrimSpace(key.Manufacturer + " " + key.Product); name != "" {
		return name
	}
	return key.Path
}
