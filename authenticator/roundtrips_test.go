package authenticator

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/virtual"
)

// counted is a HID device that counts the messages to it, by their initialization packets.
type counted struct {
	*virtual.Device
	messages int
}

func (c *counted) Write(p []byte) (int, error) {
	const commandBit = 0x80
	if p[4]&commandBit != 0 {
		c.messages++
	}
	return c.Device.Write(p)
}

// sent forgets and returns the count.
func (c *counted) sent() int {
	n := c.messages
	c.messages = 0
	return n
}

func openCounted(t *testing.T, key *virtual.Authenticator, ui *UI) (*Authenticator, *counted) {
	t.Helper()
	device := &counted{Device: key.Device()}
	channel, err := ctaphid.Open(t.Context(), device)
	require.NoError(t, err)
	a, err := New(t.Context(), channel, ui)
	require.NoError(t, err)
	t.Cleanup(func() { a.Close() })
	return a, device
}

// What the package documentation says under "Round trips", INIT included.
func TestTransactions(t *testing.T) {
	key := keyWithPIN(t, virtual.Config{})
	_, ui := answers(t, "1234", "1234")
	a, device := openCounted(t, key, ui)
	cred := register(t, a, func(o *CredentialOptions) { o.UserVerification, o.HMACSecret = UVRequired, true })
	require.Equal(t, 5, device.sent(), "the first registration, with a PIN")
	count := func(change func(*AssertionOptions)) int {
		opts := assertionOptions(cred)
		change(opts)
		_, err := a.GetAssertions(t.Context(), opts)
		require.NoError(t, err)
		return device.sent()
	}
	plain := func(*AssertionOptions) {}
	salted := func(o *AssertionOptions) { o.HMACSecretSalts = [][]byte{hash("salt")} }
	withPIN := func(o *AssertionOptions) { o.UserVerification = UVRequired; salted(o) }
	require.Equal(t, 1, count(plain), "an assertion")
	require.Equal(t, 1, count(salted), "with a secret, after a key agreement for the PIN")
	require.Equal(t, 3, count(withPIN), "with a PIN, and a secret")

	a, device = openCounted(t, key, nil)
	require.Equal(t, 2, device.sent(), "opening")
	require.Equal(t, 2, count(salted), "with a secret")
	require.Equal(t, 1, count(salted), "with another secret")
	register(t, a, nil)
	require.Equal(t, 1, device.sent(), "a registration without a PIN")
}

// A finger costs as much as a PIN.
func TestTransactionsOfBuiltInUV(t *testing.T) {
	key, err := virtual.New(virtual.Config{UserVerification: new(reader).verify})
	require.NoError(t, err)
	a, device := openCounted(t, key, nil)
	register(t, a, func(o *CredentialOptions) { o.UserVerification = UVRequired })
	require.Equal(t, 5, device.sent())
}
