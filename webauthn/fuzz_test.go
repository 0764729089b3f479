package webauthn

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/internal/attest"
)

// fuzzStatement checks that whatever is accepted makes sense, and that the same statement is refused for other client
// data, unless it stands on nothing.
func fuzzStatement(t *testing.T, r *attest.Registration, format string, raw []byte) {
	t.Helper()
	o := &AttestationObject{Format: attest.Name(format), Statement: raw, AuthData: r.AuthData}
	a, err := o.Verify(r.ClientDataHash)
	if err != nil {
		require.Nil(t, a)
		return
	}
	require.Equal(t, a.hasCertificates(), slices.Contains(uncheckedOf(a), UncheckedTrustAnchor))
	if a.Type == AttestationNone || a.Type == AttestationCompound {
		return
	}
	other := ClientDataHash([]byte("[]"))
	_, err = o.Verify(other[:])
	require.Error(t, err)
}

func uncheckedOf(a *Attestation) []Unchecked {
	all := slices.Clone(a.NotChecked)
	for _, part := range a.Parts {
		all = append(all, uncheckedOf(part)...)
	}
	return all
}

func fuzzFormat(f *testing.F, format string) {
	r := attestedKey(f, cose.ES256, fixedKey(f))
	f.Add([]byte(object(f, format, r).Statement))
	f.Fuzz(func(t *testing.T, raw []byte) { fuzzStatement(t, r, format, raw) })
}

func FuzzVerifyPacked(f *testing.F)     { fuzzFormat(f, "packed") }
func FuzzVerifyFIDOU2F(f *testing.F)    { fuzzFormat(f, "fido-u2f") }
func FuzzVerifyTPM(f *testing.F)        { fuzzFormat(f, "tpm") }
func FuzzVerifyAndroidKey(f *testing.F) { fuzzFormat(f, "android-key") }
func FuzzVerifyApple(f *testing.F)      { fuzzFormat(f, "apple") }
func FuzzVerifySafetyNet(f *testing.F)  { fuzzFormat(f, "android-safetynet") }
func FuzzVerifyCompound(f *testing.F)   { fuzzFormat(f, "compound") }
