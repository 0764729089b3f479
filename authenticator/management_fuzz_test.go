package authenticator

import (
	"context"
	"testing"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
)

// management does all that there is to manage and returns how much of it worked.
func management(ctx context.Context, transport ctap2.Transport) (worked int) {
	asked := 0
	a, err := New(ctx, transport, &UI{PIN: func(context.Context, *PINRequest) ([]byte, error) {
		if asked++; asked > 20 {
			return nil, errNoMoreAnswers
		}
		return []byte("1234"), nil
	}})
	if err != nil {
		return 0
	}
	defer a.Close()
	did := func(err error) {
		if err == nil {
			worked++
		}
	}
	list, err := a.Credentials(ctx)
	did(err)
	if err == nil {
		for _, rp := range list.RelyingParties {
			for _, c := range rp.Credentials {
				did(a.UpdateUser(ctx, c.ID, c.User))
			}
		}
	}
	persistent, err := a.PersistentToken(ctx)
	did(err)
	_, err = a.CredentialsReadOnly(ctx, persistent)
	did(err)
	_, err = a.CredStoreState(ctx, persistent)
	did(err)
	_, err = a.FingerprintSensor(ctx)
	did(err)
	id, err := a.EnrollFingerprint(ctx, nil)
	did(err)
	did(a.RenameFingerprint(ctx, id, "thumb"))
	_, err = a.Fingerprints(ctx)
	did(err)
	did(a.SetLargeBlob(ctx, blobKey(1), []byte("blob")))
	_, err = a.CollectLargeBlobs(ctx)
	did(err)
	did(a.ToggleAlwaysUV(ctx))
	return worked
}

// A key may answer anything at all: every list ends, and with few exchanges for the bytes that the key sent.
func FuzzManagement(f *testing.F) {
	for _, c := range []virtual.Config{
		{Version: virtual.CTAP23, Finger: finger},
		{Version: virtual.CTAP21},
		{Version: virtual.CTAP21Pre, Finger: finger},
	} {
		c.PIN.Initial = []byte("1234")
		key, err := virtual.New(c)
		if err != nil {
			f.Fatal(err)
		}
		a, err := New(f.Context(), key, &UI{PIN: func(context.Context, *PINRequest) ([]byte, error) { return []byte("1234"), nil }})
		if err != nil {
			f.Fatal(err)
		}
		for _, rpID := range []string{"example.org", "example.com"} {
			o := credentialOptions()
			o.RP.ID, o.ResidentKey = rpID, true
			if _, err := a.MakeCredential(f.Context(), o); err != nil {
				f.Fatal(err)
			}
		}
		r := &recorder{key: key}
		if worked := management(f.Context(), r); worked < 5 {
			f.Fatalf("the good key did %d things", worked)
		}
		f.Add(r.script)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		s := &scripted{script: script}
		management(t.Context(), s)
		if limit := 200 + len(script)/2; s.exchanges > limit {
			t.Fatalf("%d exchanges for %d bytes", s.exchanges, len(script))
		}
	})
}
