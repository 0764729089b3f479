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
	})
}
