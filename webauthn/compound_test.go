package webauthn

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

func TestVerifyCompound(t *testing.T) {
	t.Parallel()
	r := attested(t, cose.ES256)
	r.Parts = []string{"packed", "fido-u2f", "tpm", "android-key", "apple", "android-safetynet", "self", "none"}
	a, err := object(t, "compound", r).Verify(r.ClientDataHash)
	require.NoError(t, err)
	require.Equal(t, AttestationCompound, a.Type)
	require.Zero(t, a.AAGUID)
	require.Empty(t, a.TrustPath)
	var types []AttestationType
	for _, part := range a.Parts {
		types = append(types, part.Type)
		require.NotEqual(t, FormatCompound, part.Format)
	}
	require.Equal(t, []AttestationType{
		AttestationBasic, AttestationBasic, AttestationAttCA, AttestationBasic, AttestationAnonCA, AttestationBasic,
		AttestationSelf, AttestationNone,
	}, types)

	require.NoError(t, a.VerifyTrust(anchors(t), time.Time{}))
	for _, part := range a.Parts[:6] {
		require.NotEmpty(t, part.Chain)
	}
}

func TestVerifyCompoundRefuses(t *testing.T) {
	t.Parallel()
	r := attested(t, cose.ES256)
	r.Parts = []string{"packed", "self"}
	statement, err := testAuthority(t).Statement("compound", r)
	require.NoError(t, err)
	good := statement.([]any)
	packed := good[0].(members)
	spoiled := changed(packed["attStmt"].(members), members{"sig": []byte{1}})
	for name, c := range map[string]struct {
		statement any
		want      string
	}{
		"one part":                 {good[:1], "1 parts, want 2 to 8"},
		"no part":                  {[]any{}, "0 parts, want 2 to 8"},
		"nine parts":               {slices.Repeat(good[:1], 9), "9 parts, want 2 to 8"},
		"a map":                    {packed, "want a []interface {}"},
		"null":                     {nil, "want a []interface {}"},
		"a part that is wrong":     {[]any{packed, changed(packed, members{"attStmt": spoiled})}, "part 1: packed: "},
		"a part with more":         {[]any{changed(packed, members{"x": 1}), packed}, "part 0: the members are not"},
		"a part without statement": {[]any{changed(packed, members{"attStmt": nil}), packed}, "part 0: the members are not"},
		"a part without format":    {[]any{members{"x": "packed", "attStmt": packed["attStmt"]}, packed}, "part 0: fmt: "},
		"a part that is none":      {[]any{1, packed}, "part 0: "},
		"a part that is null":      {[]any{nil, packed}, "part 0: "},
		"a compound part": {
			[]any{packed, members{"fmt": "compound", "attStmt": good}}, "part 1: a compound statement within another",
		},
		"only unknown parts": {
			slices.Repeat([]any{members{"fmt": "x", "attStmt": members{}}}, 2), "unsupported attestation statement format",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := encode(t, "compound", r, c.statement).Verify(r.ClientDataHash)
			require.ErrorContains(t, err, "webauthn: attestation: compound: ")
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestVerifyCompoundKeepsUnknownParts(t *testing.T) {
	t.Parallel()
	r := attested(t, cose.ES256)
	statement, err := testAuthority(t).Statement("compound", r)
	require.NoError(t, err)
	parts := append(statement.([]any), members{"fmt": "x", "attStmt": members{"a": 1}})
	a, err := encode(t, "compound", r, parts).Verify(r.ClientDataHash)
	require.NoError(t, err)
	require.Equal(t, &Attestation{
		Format:     "x",
		Type:       AttestationUnknown,
		AAGUID:     testAAGUID,
		Statement:  ctapcbor.RawMessage{0xa1, 0x61, 'a', 0x01},
		NotChecked: []Unchecked{UncheckedStatement},
	}, a.Parts[2])
	require.NoError(t, a.VerifyTrust(anchors(t), time.Time{}))
}
