package tui_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
)

const pin = "1234"

func plug(t *testing.T, hub *virtual.Hub, config virtual.Config) *virtual.Authenticator {
	t.Helper()
	key, err := virtual.New(config)
	require.NoError(t, err)
	t.Cleanup(func() { key.Close() })
	hub.Plug(key)
	return key
}

// used is a key with a PIN.
func used(config virtual.Config) virtual.Config {
	config.PIN.Initial = []byte(pin)
	return config
}

func store(t *testing.T, key *virtual.Authenticator, site string, user ctap2.User) {
	t.Helper()
	a, err := authenticator.New(t.Context(), key, &authenticator.UI{
		PIN: func(context.Context, *authenticator.PINRequest) ([]byte, error) { return []byte(pin), nil },
	})
	require.NoError(t, err)
	_, err = a.MakeCredential(t.Context(), &authenticator.CredentialOptions{
		ClientDataHash: make([]byte, 32), RP: ctap2.RelyingParty{ID: site}, User: user, ResidentKey: true,
	})
	require.NoError(t, err)
}

func alice(t *testing.T, key *virtual.Authenticator) {
	t.Helper()
	store(t, key, "example.org", ctap2.User{ID: []byte{1}, Name: "alice@example.org", DisplayName: "Alice"})
	store(t, key, "example.org", ctap2.User{ID: []byte{2}, Name: "bob@example.org", DisplayName: "Bob"})
	store(t, key, "login.a-rather-long-name.example", ctap2.User{
		ID: []byte{3}, Name: "alice.in.wonderland@mail.example", DisplayName: "Alice Pleasance Liddell",
	})
}

func TestKeysComeAndGo(t *testing.T) {
	t.Parallel()
	hub := new(virtual.Hub)
	m := start(t, hub, 80, 24)
	m.sees("Plug in a security key.")
	m.golden("no_key")
	first := plug(t, hub, virtual.Config{})
	plug(t, hub, virtual.Config{U2FOnly: true})
	m.sees("virtual:2")
	m.golden("two_keys")
	m.types("virtual:2", down)
	m.sees("> keyfob virtual key 2")
	plug(t, hub, virtual.Config{})
	m.sees("virtual:3")
	hub.Unplug(first) // the selected one stays selected
	m.golden("one_pulled")
	m.types("> keyfob virtual key 2", enter)
	m.sees("About this key")
	m.golden("u2f_key")
}

func TestPasskeys(t *testing.T) {
	t.Parallel()
	for _, size := range []struct {
		name          string
		width, height int
	}{{"wide", 80, 24}, {"narrow", 40, 12}} {
		t.Run(size.name, func(t *testing.T) {
			t.Parallel()
			hub := new(virtual.Hub)
			alice(t, plug(t, hub, used(virtual.Config{})))
			m := start(t, hub, size.width, size.height)
			m.types("> keyfob virtual key 1", enter)
			m.sees("> Passkeys")
			m.golden("key_" + size.name)
			m.types("> Passkeys", enter)
			m.sees("PIN of", "8 retries left")
			m.golden("pin_" + size.name)
			m.types("PIN of", "4321"+enter)
			m.sees("Wrong PIN", "7 retries left")
			m.golden("pin_wrong_" + size.name)
			m.types("Wrong PIN", pin)
			m.sees("> ••••")
			m.types("> ••••", enter)
			m.sees("> example.org")
			m.golden("passkeys_" + size.name)
			m.types("> example.org", down+down)
			m.types("Liddell", "d")
			m.sees("y delete")
			m.golden("delete_passkey_" + size.name)
			m.types("y delete", enter+"n") // an enter too many deletes nothing
			m.sees("Cancelled.")
			m.types("Cancelled.", "d")
			m.types("y delete", "y")
			m.sees("Deleted:")
			m.golden("passkey_deleted_" + size.name)
			m.types("Deleted:", "r")
			m.types("Account name", "\x15rob"+enter)
			m.types("Name to show", "ert"+enter)
			m.sees("Renamed.", "rob")
			m.golden("passkey_renamed_" + size.name)
			m.types("Renamed.", escape)
			m.sees("2, room for 98 more", "8 retries left")
			m.golden("key_read_" + size.name)
		})
	}
}

// hand is a user who touches a key, or lays a finger on it, when the test says so.
type hand chan virtual.Sample

func (h hand) finger(ctx context.Context, _ virtual.Prompt) (virtual.Sample, error) {
	select {
	case s := <-h:
		return s, nil
	case <-ctx.Done():
		return virtual.Sample{}, context.Cause(ctx)
	}
}

func (h hand) touch(ctx context.Context, p virtual.Prompt) error {
	_, err := h.finger(ctx, p)
	return err
}

func TestFingerprints(t *testing.T) {
	t.Parallel()
	h := make(hand)
	config := used(virtual.PresetBiometric.Config())
	config.Finger, config.EnrollSamples = h.finger, 3
	hub := new(virtual.Hub)
	plug(t, hub, config)
	m := start(t, hub, 80, 24)
	m.types("> keyfob virtual key 1", enter)
	m.types("> Passkeys", down)
	m.types("> Fingerprints", enter)
	m.types("PIN of", pin+enter)
	m.types("The key knows no finger.", "a")
	m.sees("Touch the key to teach it your finger.")
	h <- virtual.Sample{Finger: "thumb"}
	m.sees("The sample was good. 2 to go.")
	h <- virtual.Sample{Finger: "thumb", Status: ctap2.SampleTooFast}
	m.sees("Touch the key", "The sample was too fast. 2 to go.")
	m.golden("enrol")
	h <- virtual.Sample{Finger: "thumb"}
	m.sees("1 to go.")
	h <- virtual.Sample{Finger: "thumb"}
	m.types("Name of the finger", "left thumb"+enter)
	m.sees("> left thumb", "The key knows the finger.")
	m.golden("fingerprints")
	m.types("> left thumb", "r")
	m.types("Name of the finger", "\x15right thumb"+enter)
	m.types("> right thumb", "d")
	m.sees("Delete the fingerprint right thumb?")
	m.types("y delete", "y")
	m.sees("The key knows no finger.", "Deleted: right thumb.")
	m.types("a add", "a")
	m.types("Touch the key to teach it your finger.", escape)
	m.sees("Cancelled.", "The key knows no finger.")
}

func TestPINIsSetAndChanged(t *testing.T) {
	t.Parallel()
	hub := new(virtual.Hub)
	plug(t, hub, virtual.Config{})
	m := start(t, hub, 80, 24)
	m.types("> keyfob virtual key 1", enter)
	m.types("> Passkeys", down+down)
	m.sees("> PIN             not set")
	m.types("enter set", enter)
	m.types("New PIN of", "12"+enter)
	m.sees("! That was too short.")
	m.golden("pin_too_short")
	m.types("! That was too short.", "1234"+enter)
	m.types("The new PIN again", "1235"+enter)
	m.types("They differ.", "1234"+enter)
	m.types("The new PIN again", "1234"+enter)
	m.sees("The PIN is set.", "> PIN             set, 8 retries left")
	m.types("enter change", enter)
	m.types("Present PIN", "0000"+enter)
	m.types("New PIN of", "567890"+enter)
	m.types("The new PIN again", "567890"+enter)
	m.sees("(7 retries left)", "> PIN             set, 7 retries left")
	m.golden("pin_not_changed")
	m.types("enter change", enter)
	m.types("Present PIN", "\x1b[200~1234\x1b[201~"+enter) // pasted
	m.types("New PIN of", "Schlüssel"+enter)
	m.types("The new PIN again", "Schlüssel!"+"\x7f"+enter)
	m.sees("The PIN is set.", "> PIN             set, 8 retries left")
}

func TestSettings(t *testing.T) {
	t.Parallel()
	hub := new(virtual.Hub)
	config := used(virtual.Preset23.Config())
	config.PIN.Complexity = func([]byte) bool { return true }
	config.EnterpriseAttestation = true
	alice(t, plug(t, hub, config))
	m := start(t, hub, 80, 24)
	m.types("> keyfob virtual key 1", enter)
	m.types("> Passkeys", down+down+down)
	m.types("> Settings", enter)
	m.sees("> Minimum PIN length")
	m.golden("settings")
	m.types("enter change", enter)
	m.types("It can only grow", "\x156"+enter)
	m.types("PIN of", pin+enter)
	m.sees("> Minimum PIN length", "Changed: Minimum PIN length.")
	m.types("Changed: Minimum PIN length.", down+down+down)
	m.types("> Always verify the user  off", enter)
	m.types("PIN of", pin+enter) // which is too short from now on
	m.sees("The key wants its PIN changed first.")
	m.golden("pin_must_change")
	m.types("The key wants its PIN changed first.", "567890"+enter)
	m.types("The new PIN again", "567890"+enter)
	m.sees("> Always verify the user  on", "Changed: Always verify the user.")
	m.types("Changed: Always verify the user.", down)
	m.types("> Enterprise attestation  off", enter)
	m.types("y change", "y")
	m.sees("> Enterprise attestation  on")
	m.types("Changed: Enterprise attestation.", down)
	m.types("> Long touch to reset     off", enter)
	m.types("y change", "y")
	m.sees("> Long touch to reset     on")
	m.golden("settings_changed")
}

func TestReset(t *testing.T) {
	t.Parallel()
	h := make(hand)
	hub := new(virtual.Hub)
	plug(t, hub, used(virtual.Config{UserPresence: h.touch}))
	m := start(t, hub, 40, 12)
	m.types("> keyfob virtual key 1", enter)
	m.types("> Passkeys", "\x1b[F")
	m.types("> Reset", enter)
	m.sees("Type reset to go on.")
	m.golden("reset_asks")
	m.types("Type reset to go on.", "yes"+enter)
	m.types("Nothing was reset.", "reset"+enter)
	m.sees("Touch the key to reset it.")
	m.golden("reset_touch")
	m.types("Touch the key to reset it.", escape)
	m.sees("Cancelled.")
	m.types("Cancelled.", enter)
	m.types("Type reset to go on.", "reset"+enter)
	m.sees("Touch the key to reset it.")
	h <- virtual.Sample{}
	m.sees("The key is as good as new.", "not set")
	m.golden("reset_done")
}

// Whatever the user is about to do with a key: when it is pulled it is gone, and the program goes on with another.
func TestKeyIsPulledInTheMiddle(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(m *terminal){
		"idle": func(m *terminal) {},
		"question": func(m *terminal) {
			m.types("> Passkeys", enter)
			m.types("PIN of", "12")
			m.sees("> ••")
		},
		"touch": func(m *terminal) {
			m.types("> Passkeys", "\x1b[F")
			m.types("> Reset", enter)
			m.types("Type reset to go on.", "reset"+enter)
			m.sees("Touch the key to reset it.")
		},
		"page": func(m *terminal) {
			m.types("> Passkeys", enter)
			m.types("PIN of", pin+enter)
			m.sees("There are no passkeys on this key.")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hub := new(virtual.Hub)
			key := plug(t, hub, used(virtual.Config{UserPresence: make(hand).touch}))
			plug(t, hub, virtual.Config{})
			m := start(t, hub, 80, 24)
			m.types("> keyfob virtual key 1", enter)
			m.sees("> Passkeys")
			begin(m)
			hub.Unplug(key)
			m.sees("! keyfob virtual key 1 was unplugged.", "> keyfob virtual key 2")
			m.golden("unplugged")
			m.types("> keyfob virtual key 2", enter)
			m.sees("> Passkeys", "PIN             not set")
		})
	}
}

// What a key says does not reach the terminal as anything but text.
func TestNamesOfAttackers(t *testing.T) {
	t.Parallel()
	hub := new(virtual.Hub)
	store(t, plug(t, hub, used(virtual.Config{})), "example.org", ctap2.User{
		ID: []byte{1}, Name: "\x1b[2J\x1b[Heve\r\n\u202egro", DisplayName: "\x07\u009b31m",
	})
	m := start(t, hub, 80, 24)
	m.types("> keyfob virtual key 1", enter)
	m.types("> Passkeys", enter)
	m.types("PIN of", pin+enter)
	m.sees("> example.org", "eve")
	m.golden("attacker")
}

func TestAbout(t *testing.T) {
	t.Parallel()
	hub := new(virtual.Hub)
	plug(t, hub, virtual.Preset23.Config())
	m := start(t, hub, 40, 12)
	m.types("> keyfob virtual key 1", enter)
	m.types("> Passkeys", down+down+down+down)
	m.types("> About this key", enter)
	m.types("> Maker", down+down+down+down)
	m.sees("> Model")
	m.golden("about")
	m.types("> Model", down+down)
	m.sees("> Options", "credMgmt")
	m.golden("about_cut")
	m.types("> Options", "\x1b[F")
	m.sees("> PIN length")
	m.types("> PIN length", "\x1b[H")
	m.sees("> Maker")
}
