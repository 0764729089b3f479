package guest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/virtual"
)

// TestPullAtEveryReport pulls a key at each report of a ceremony with a PIN in turn, once before it has read it or sent
// it. The error says so at once, and the same key, plugged in again, works in the same process, up to the next report.
func TestPullAtEveryReport(t *testing.T) {
	requireNothingLeft(t)
	soft, err := virtual.New(virtual.Config{})
	require.NoError(t, err)
	defer soft.Close()
	key := plugIn(t, soft, never)
	require.NoError(t, withKey(t, key.Info, func(ctx context.Context, a *authenticator.Authenticator) error {
		return a.SetPIN(ctx, []byte(pin))
	}))
	key.unplug()
	for n := 1; ; n++ {
		key := plugIn(t, soft, n)
		err := registerAndAuthenticate(t, key.Info)
		end := time.Now()
		key.unplug()
		if err == nil {
			t.Logf("the ceremony has %d reports", n-1)
			require.Greater(t, n, 30)
			return
		}
		require.ErrorIs(t, err, hid.ErrRemoved, "report %d", n)
		require.Equal(t, authenticator.KindRemoved, authenticator.KindOf(err))
		require.Less(t, end.Sub(key.pulled), time.Second, "report %d", n)
	}
}

// registerAndAuthenticate is a whole ceremony with a PIN.
func registerAndAuthenticate(t *testing.T, key hid.Info) error {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	ui := &authenticator.UI{PIN: func(context.Context, *authenticator.PINRequest) ([]byte, error) { return []byte(pin), nil }}
	a, err := authenticator.Open(ctx, key, ui)
	if err != nil {
		return err
	}
	defer a.Close()
	cred, err := a.MakeCredential(ctx, &authenticator.CredentialOptions{
		ClientDataHash:   newHash(),
		RP:               ctap2.RelyingParty{ID: rpID},
		User:             ctap2.User{ID: []byte("ada's id"), Name: "Ada"},
		UserVerification: authenticator.UVRequired,
	})
	if err != nil {
		return err
	}
	_, err = a.GetAssertions(ctx, &authenticator.AssertionOptions{
		ClientDataHash:   newHash(),
		RPID:             rpID,
		AllowList:        [][]byte{cred.ID},
		UserVerification: authenticator.UVRequired,
	})
	return err
}

// pullable is a soft key on uhid that is pulled at a certain report. It is a far quicker way to plug a key in than USB.
type pullable struct {
	*uhidDevice
	hid.Info
	unplug func() // waits until nothing is left

	mu     sync.Mutex // guards what follows
	left   int        // reports until the key is pulled
	pulled time.Time
}

const never = 0

var pulledKey = uhidConfig{name: "Pulled key", bus: busUSB, descriptor: uhidDescriptor}

func plugIn(t *testing.T, soft *virtual.Authenticator, report int) *pullable {
	t.Helper()
	p := &pullable{uhidDevice: createUHID(t, pulledKey), left: report}
	served := make(chan struct{})
	go func() {
		defer close(served)
		soft.Serve(context.Background(), p)
	}()
	isOurs := func(info hid.Info) bool { return info.Product == pulledKey.name }
	p.unplug = sync.OnceFunc(func() {
		p.Close()
		<-served
		waitForKeys(t, isOurs, 0)
	})
	t.Cleanup(p.unplug)
	p.Info = waitForKeys(t, isOurs, 1)[0]
	return p
}

func (p *pullable) Read(b []byte) (int, error) {
	n, err := p.uhidDevice.Read(b)
	if err == nil {
		err = p.pass()
	}
	return n, err
}

func (p *pullable) Write(b []byte) (int, error) {
	if err := p.pass(); err != nil {
		return 0, err
	}
	return p.uhidDevice.Write(b)
}

var errPulled = errors.New("pulled")

// pass counts a report.
func (p *pullable) pass() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left--
	if p.left != 0 {
		return nil
	}
	p.pulled = time.Now()
	p.Close()
	return errPulled
}
