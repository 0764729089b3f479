package webauthn

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/internal/attest"
)

func TestVerifyAndroidKeyDescriptions(t *testing.T) {
	t.Parallel()
	none := attest.AuthorizationList{}
	sign := attest.AuthorizationList{Purpose: []int{2}}
	forAll := asn1.RawValue{FullBytes: []byte{0xbf, 0x84, 0x58, 0x02, 0x05, 0x00}} // [600] EXPLICIT NULL
	signForAll := attest.AuthorizationList{Purpose: []int{2}, AllApplications: forAll}
	for name, c := range map[string]struct {
		software, hardware attest.AuthorizationList
		want               string // "" is accepted, "?" with UncheckedHardware
	}{
		"by hardware":              {none, sign, ""},
		"by both":                  {sign, sign, ""},
		"for two purposes":         {none, attest.AuthorizationList{Purpose: []int{2, 3}}, ""},
		"by software":              {sign, none, "?"},
		"by nobody":                {none, none, "?"},
		"not for signing":          {none, attest.AuthorizationList{Purpose: []int{0, 1}}, "not for signing"},
		"imported":                 {none, attest.AuthorizationList{Purpose: []int{2}, Origin: 2}, "not generated"},
		"imported, says software":  {attest.AuthorizationList{Purpose: []int{2}, Origin: 2}, sign, "not generated"},
		"for all applications":     {none, signForAll, "all applications"},
		"for all, says software":   {attest.AuthorizationList{AllApplications: forAll}, sign, "all applications"},
		"for all, says an old one": {none, attest.AuthorizationList{AllApplications: forAll}, "all applications"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := attested(t, cose.ES256)
			r.Leaf = func(cert *x509.Certificate) {
				extension, err := attest.KeyDescription(r.ClientDataHash, c.software, c.hardware)
				require.NoError(t, err)
				cert.ExtraExtensions = []pkix.Extension{extension}
			}
			a, err := object(t, "android-key", r).Verify(r.ClientDataHash)
			if c.want == "" || c.want == "?" {
				require.NoError(t, err)
				require.Equal(t, c.want == "?", slices.Contains(a.NotChecked, UncheckedHardware))
				return
			}
			require.ErrorContains(t, err, "webauthn: attestation: android-key: attestation certificate: ")
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestVerifyAndroidKeyRefusesDescriptions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(value []byte) []byte
		want   string
	}{
		"of another client data":   {func(b []byte) []byte { b[21] ^= 1; return b }, "another client data hash"},
		"with more behind":         {func(b []byte) []byte { return append(b, 0) }, "no description"},
		"that are empty":           {func([]byte) []byte { return []byte{0x30, 0} }, "no description"},
		"with a list that is none": {func(b []byte) []byte { b[len(b)-16] = 0x31; return b }, "not a sequence"},
		"with a bare field":        {func(b []byte) []byte { b[len(b)-14] = 0x21; return b }, "without a tag"},
		"with half a field":        {func(b []byte) []byte { b[len(b)-13] = 0x70; return b }, "authorization list: "},
		"with a wrong purpose":     {func(b []byte) []byte { b[len(b)-10] = 0x30; return b }, "field 1: "},
		"with a wrong origin":      {func(b []byte) []byte { b[len(b)-3] = 0x04; return b }, "field 702: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := attested(t, cose.ES256)
			r.Leaf = func(cert *x509.Certificate) {
				cert.ExtraExtensions[0].Value = c.change(cert.ExtraExtensions[0].Value)
			}
			_, err := object(t, "android-key", r).Verify(r.ClientDataHash)
			require.ErrorContains(t, err, c.want)
		})
	}
	t.Run("that are missing", func(t *testing.T) {
		t.Parallel()
		r := attested(t, cose.ES256)
		r.Leaf = func(cert *x509.Certificate) { cert.ExtraExtensions = nil }
		_, err := object(t, "android-key", r).Verify(r.ClientDataHash)
		require.ErrorContains(t, err, "no description")
	})
}

// FuzzKeyDescription reaches behind the signatures.
func FuzzKeyDescription(f *testing.F) {
	hash := ClientDataHash([]byte("{}"))
	extension, err := attest.KeyDescription(hash[:], attest.AuthorizationList{}, attest.AuthorizationList{Purpose: []int{2}})
	require.NoError(f, err)
	f.Add(extension.Value)
	f.Fuzz(func(t *testing.T, value []byte) {
		cert := &x509.Certificate{Extensions: []pkix.Extension{{Id: oidKeyDescription, Value: value}}}
		if _, err := checkKeyDescription(cert, hash[:]); err == nil {
			require.True(t, bytes.Contains(value, hash[:]))
		}
	})
}
