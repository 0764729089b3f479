package authenticator

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/virtual"
)

// masked is a secret that a test knows without having it in memory.
type masked []byte

func mask(secret []byte) masked {
	m := make(masked, len(secret))
	for i, b := range secret {
		m[i] = b ^ 0xa5
	}
	return m
}

func (m masked) reveal() []byte { return mask(m) }

// hash returns what is sent of a PIN, encrypted.
func (m masked) hash() masked {
	sum := sha256.Sum256(m.reveal())
	return mask(sum[:16])
}

// inHeap reports whether some object that is still in use, or a stack, holds the secret.
func (m masked) inHeap(dump []byte) bool {
	for i := 0; i+len(m) <= len(dump); i++ {
		if dump[i]^0xa5 != m[0] {
			continue
		}
		n := 1
		for n < len(m) && dump[i+n]^0xa5 == m[n] {
			n++
		}
		if n == len(m) {
			return true
		}
	}
	return false
}

// newMaskedPIN works on a goroutine of its own, whose stack goes away with the plain text.
func newMaskedPIN() masked {
	result := make(chan masked)
	go func() {
		pin := make([]byte, 20)
		rand.Read(pin)
		for i := range pin {
			pin[i] = 'a' + pin[i]%26
		}
		m := mask(pin)
		clear(pin)
		result <- m
	}()
	return <-result
}

func heapDump(t *testing.T) []byte {
	f, err := os.Create(filepath.Join(t.TempDir(), "heap"))
	require.NoError(t, err)
	defer f.Close()
	debug.WriteHeapDump(f.Fd())
	b, err := os.ReadFile(f.Name())
	require.NoError(t, err)
	return b
}

// TestServeKeyForSecretsTest is no test but the process with the key: a key in the same process would keep the secrets.
func TestServeKeyForSecretsTest(t *testing.T) {
	path := os.Getenv("KEYFOB_TEST_SERVE")
	if path == "" {
		t.Skip("the other half of TestSecretsAreGoneAfterwards")
	}
	key, err := virtual.New(virtual.Config{Version: virtual.CTAP23})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	key.ServeUnix(ctx, path, nil)
}

func serveElsewhere(t *testing.T) (path string) {
	dir, err := os.MkdirTemp("", "keyfob")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	path = filepath.Join(dir, "key")
	cmd := exec.Command(os.Args[0], "-test.run=^TestServeKeyForSecretsTest$")
	cmd.Env = append(os.Environ(), "KEYFOB_TEST_SERVE="+path)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	listens := func() bool {
		device, err := hid.Open("unix:" + path)
		if err == nil {
			device.Close()
		}
		return err == nil
	}
	require.Eventually(t, listens, 30*time.Second, 5*time.Millisecond)
	return path
}

// After a ceremony nothing that is still in use holds the PIN, its hash or, once the caller has cleared them, the derived
// secrets. That tokens and shared secrets are overwritten is tested in package ctap2.
func TestSecretsAreGoneAfterwards(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs SOCK_SEQPACKET sockets; run on Linux")
	}
	// Without garbage collection every object that was ever used is still there to be found.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	pin, wrong := newMaskedPIN(), newMaskedPIN()
	dump, derived := ceremonyWithSecrets(t, pin, wrong)
	require.False(t, pin.inHeap(dump), "the PIN")
	require.False(t, wrong.inHeap(dump), "the wrong PIN")
	require.False(t, pin.hash().inHeap(dump), "the PIN's hash")
	require.False(t, wrong.hash().inHeap(dump), "the wrong PIN's hash")
	require.False(t, derived.inHeap(dump), "a derived secret")

	// The check can fail.
	kept := pin.reveal()
	require.True(t, pin.inHeap(heapDump(t)))
	runtime.KeepAlive(kept)
}

func ceremonyWithSecrets(t *testing.T, pin, wrong masked) (dump []byte, derived masked) {
	asked := 0
	ui := &UI{
		PIN: func(context.Context, *PINRequest) ([]byte, error) {
			if asked++; asked == 1 {
				return wrong.reveal(), nil
			}
			return pin.reveal(), nil
		},
		NewPIN: func(context.Context, *NewPINRequest) ([]byte, error) { return pin.reveal(), nil },
	}
	a, err := Open(t.Context(), hid.Info{Path: "unix:" + serveElsewhere(t)}, ui)
	require.NoError(t, err)
	cred := register(t, a, func(o *CredentialOptions) { // sets the PIN
		o.HMACSecretSalts, o.UserVerification = [][]byte{hash("salt")}, UVRequired
	})
	opts := assertionOptions(cred)
	opts.UserVerification = UVRequired
	opts.HMACSecretSalts = [][]byte{hash("salt")}
	assertions, err := a.GetAssertions(t.Context(), opts)
	require.NoError(t, err)
	require.Equal(t, 2, asked)
	derived = mask(assertions[0].HMACSecrets[0])
	for _, secret := range [][]byte{cred.HMACSecrets[0], assertions[0].HMACSecrets[0]} {
		require.Equal(t, derived, mask(secret))
		clear(secret)
	}
	dump = heapDump(t) // while the key is still open
	require.True(t, bytes.Contains(dump, cred.ID), "the dump holds what is in use")
	require.NotZero(t, ctap2.FlagUV&assertions[0].AuthenticatorData.Flags)
	require.NoError(t, a.Close())
	return dump, derived
}
