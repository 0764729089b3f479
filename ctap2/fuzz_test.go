package ctap2

import (
	"testing"

	"github.com/keyfob-go/keyfob/internal/ctapcbor"
	"github.com/keyfob-go/keyfob/internal/seeds"
)

// Every decoder of a response takes any bytes: an error or a result whose required members are there.
func FuzzResponses(f *testing.F) {
	seeds.Add(f, "responses")
	for _, seed := range []string{"00", "00a0", "36", "00a2030804f4", "00a10258306a9c78228eb6a06e9fec05b994fd9394744f71c7216f03f0abb4d580dbec0c32f6ea0e67edd994eb60ec475c914d987e"} {
		f.Add([]byte(hexAnswer(f, seed)))
	}
	info, err := ctapcbor.Marshal(&Info{Versions: []string{"FIDO_2_0"}, Options: map[string]bool{"rk": true}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append([]byte{0}, info...))
	secret := loadVectors(f).secret(f, PINProtocol2)
	f.Fuzz(func(t *testing.T, answer []byte) {
		c, ctx := &Client{Transport: answers(answer)}, t.Context()
		if info, err := c.GetInfo(ctx); err == nil {
			if len(info.Versions) == 0 || info.MaxMsgSize < 1024 || info.MinPINLength < 4 || info.MaxPINLength < info.MinPINLength {
				t.Fatalf("accepted %+v", info)
			}
			info.PINProtocol()
		}
		if resp, err := c.MakeCredential(ctx, &MakeCredentialRequest{}); err == nil && (resp.Format == "" || len(resp.AuthData) == 0) {
			t.Fatalf("accepted %+v", resp)
		}
		if resp, err := c.GetAssertion(ctx, &GetAssertionRequest{}); err == nil && (len(resp.AuthData) == 0 || len(resp.Signature) == 0) {
			t.Fatalf("accepted %+v", resp)
		}
		if n, _, err := c.PINRetries(ctx, 1); err == nil && (n < 0 || n > maxRetries) {
			t.Fatalf("accepted %d retries", n)
		}
		if s, err := c.KeyAgreement(ctx, 2); err == nil && len(s.key) != 64 {
			t.Fatal("no secret")
		}
		if token, err := c.token(ctx, secret, &ClientPINRequest{}); err == nil && len(token.key) != 32 {
			t.Fatalf("accepted a token of %d bytes", len(token.key))
		}
		fuzzManagement(t, c)
	})
}

func fuzzManagement(t *testing.T, c *Client) {
	ctx, m, b := t.Context(), CredentialManagement{Client: c}, BioEnrollment{Client: c}
	m.Metadata(ctx)
	if r, err := m.EnumerateRPsBegin(ctx); err == nil && *r.TotalRPs > 0 && (r.RP == nil || len(r.RPIDHash) != 32) {
		t.Fatalf("accepted %+v", r)
	}
	if r, err := m.EnumerateRPsNext(ctx); err == nil && (r.RP == nil || len(r.RPIDHash) != 32) {
		t.Fatalf("accepted %+v", r)
	}
	r, err := m.EnumerateCredentialsBegin(ctx, [32]byte{})
	if err == nil && *r.TotalCredentials > 0 && (r.User == nil || len(r.CredentialID.ID) == 0 || len(r.PublicKey) == 0) {
		t.Fatalf("accepted %+v", r)
	}
	r, err = m.EnumerateCredentialsNext(ctx)
	if err == nil && (r.User == nil || len(r.CredentialID.ID) == 0 || len(r.PublicKey) == 0) {
		t.Fatalf("accepted %+v", r)
	}
	b.Modality(ctx)
	b.SensorInfo(ctx)
	if id, sample, err := b.EnrollBegin(ctx, 0); err == nil && (len(id) == 0 || sample.Status.String() == "") {
		t.Fatalf("accepted %x, %v", id, sample)
	}
	b.EnrollNext(ctx, []byte{1}, 0)
	if fingers, err := b.Enrollments(ctx); err == nil {
		for _, f := range fingers {
			if len(f.ID) == 0 {
				t.Fatal("accepted a finger without an ID")
			}
		}
	}
	if fragment, err := c.GetLargeBlobs(ctx, 0, 16); err == nil && (fragment == nil || len(fragment) > 16) {
		t.Fatalf("accepted %x", fragment)
	}
}
