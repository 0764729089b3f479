package virtual

import (
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
	"github.com/keyfob-go/keyfob/webauthn"
)

// enterprise is a key that may attest for enterprises.
func enterprise(t *testing.T, c Config) (*Authenticator, *ctap2.Client) {
	t.Helper()
	c.EnterpriseAttestation, c.EnterpriseRPIDs = true, []string{"vendor.example"}
	key, client := newKey(t, c)
	require.NoError(t, key.update(func(s *state) { s.Settings.EnterpriseAttestation = true }))
	return key, client
}

// leafOf returns the certificate in a packed statement, nil without one.
func leafOf(t *testing.T, resp *ctap2.MakeCredentialResponse) *x509.Certificate {
	t.Helper()
	var s packedStatement
	require.NoError(t, ctapcbor.Unmarshal(resp.AttStmt, &s))
	if s.Certificates == nil {
		return nil
	}
	leaf, err := x509.ParseCertificate(s.Certificates[0])
	require.NoError(t, err)
	return leaf
}

func serialOf(leaf *x509.Certificate) []byte {
	for _, e := range leaf.Extensions {
		if e.Id.Equal(oidSerialNumber) {
			return e.Value
		}
	}
	return nil
}

func TestEnterpriseAttestation(t *testing.T) {
	t.Parallel()
	for _, attestation := range []Attestation{AttestationSelf, AttestationBasic, AttestationNone} {
		for _, tt := range []struct {
			kind uint
			rpID string
			want bool
		}{
			{0, "vendor.example", false},
			{vendorFacilitated, "vendor.example", true},
			{vendorFacilitated, "other.example", false},
			{platformManaged, "other.example", true},
		} {
			key, client := enterprise(t, Config{Attestation: attestation})
			req := newRequest()
			req.RP.ID, req.EnterpriseAttestation = tt.rpID, tt.kind
			resp, err := client.MakeCredential(t.Context(), req)
			require.NoError(t, err)
			require.Equal(t, tt.want, resp.EnterpriseAttestation, "%+v", tt)
			if !tt.want {
				require.True(t, resp.Format == formatNone || attestation == AttestationSelf || serialOf(leafOf(t, resp)) == nil)
				continue
			}
			leaf := leafOf(t, resp)
			checkLeaf(t, leaf)
			require.NotNil(t, serialOf(leaf))
			object := &webauthn.AttestationObject{Format: resp.Format, AuthData: resp.AuthData, Statement: resp.AttStmt}
			verified, err := object.Verify(testHash)
			require.NoError(t, err)
			anchors := x509.NewCertPool()
			anchors.AddCert(key.AttestationRoot())
			require.NoError(t, verified.VerifyTrust(anchors, time.Now()))
		}
	}
}

func TestEnterpriseAttestationRefuses(t *testing.T) {
	t.Parallel()
	_, capable := newKey(t, Config{EnterpriseAttestation: true}) // switched off
	_, enabled := enterprise(t, Config{})
	_, incapable := newKey(t, Config{})
	for _, tt := range []struct {
		client *ctap2.Client
		kind   uint
		want   ctap2.Status
	}{
		{incapable, 1, ctap2.ErrInvalidParameter},
		{incapable, 3, ctap2.ErrInvalidParameter},
		{capable, 2, ctap2.ErrInvalidParameter},
		{enabled, 3, ctap2.ErrInvalidOption},
		{enabled, 2, 0},
	} {
		req := newRequest()
		req.EnterpriseAttestation = tt.kind
		_, err := tt.client.MakeCredential(t.Context(), req)
		requireStatus(t, tt.want, err)
	}
}

func TestEnterpriseCertificateLasts(t *testing.T) {
	t.Parallel()
	config := Config{StateFile: t.TempDir() + "/state", Attestation: AttestationBasic}
	leaf := func() *x509.Certificate {
		key, client := enterprise(t, config)
		defer key.Close()
		req := newRequest()
		req.EnterpriseAttestation = platformManaged
		resp, err := client.MakeCredential(t.Context(), req)
		require.NoError(t, err)
		return leafOf(t, resp)
	}
	key, _ := newKey(t, config) // the state file of a key that was not for enterprises
	key.Close()
	require.Equal(t, leaf().Raw, leaf().Raw)
}

func TestAttestationFormatOfChoice(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		version     Version
		attestation Attestation
		preference  []string
		want        string
	}{
		{CTAP22, AttestationBasic, nil, "packed"},
		{CTAP22, AttestationBasic, []string{"none"}, "none"},
		{CTAP22, AttestationBasic, []string{"tpm", "packed", "none"}, "packed"},
		{CTAP22, AttestationBasic, []string{"none", "packed"}, "none"},
		{CTAP22, AttestationBasic, []string{"tpm"}, "packed"},
		{CTAP22, AttestationTPM, []string{"packed"}, "packed"},
		{CTAP22, AttestationTPM, []string{"x", "tpm", "packed"}, "tpm"},
		{CTAP22, AttestationTPM, []string{"none"}, "none"},
		{CTAP22, AttestationNone, []string{"packed"}, "none"},
		{CTAP23, AttestationSelf, []string{"none"}, "none"},
		{CTAP21, AttestationSelf, []string{"none"}, "packed"}, // not known yet
	} {
		t.Run(fmt.Sprintf("%v %d %v", tt.version, tt.attestation, tt.preference), func(t *testing.T) {
			t.Parallel()
			_, client := newKey(t, Config{Version: tt.version, Attestation: tt.attestation})
			req := newRequest()
			req.AttestationFormatsPreference = tt.preference
			resp, err := client.MakeCredential(t.Context(), req)
			require.NoError(t, err)
			require.Equal(t, tt.want, resp.Format)
			omitted := tt.version >= CTAP22 && len(tt.preference) == 1 && tt.preference[0] == "none"
			require.Equal(t, omitted, resp.AttStmt == nil, "section 6.1.2, step 18")
			object := &webauthn.AttestationObject{Format: resp.Format, AuthData: resp.AuthData, Statement: resp.AttStmt}
			_, err = object.Verify(testHash)
			require.NoError(t, err)
			if tt.version < CTAP22 {
				return
			}
			info, err := client.GetInfo(t.Context())
			require.NoError(t, err)
			if tt.want != formatNone || tt.attestation == AttestationNone {
				require.Contains(t, info.AttestationFormats, tt.want)
			}
		})
	}
}

func TestAlgorithmsAreAnnouncedAndHeld(t *testing.T) {
	t.Parallel()
	_, client := newKey(t, Config{Algorithms: []cose.Algorithm{cose.EdDSA, cose.ES384}})
	info, err := client.GetInfo(t.Context())
	require.NoError(t, err)
	require.Equal(t, params(cose.EdDSA, cose.ES384), info.Algorithms)
	req := newRequest()
	req.PubKeyCredParams = params(cose.ES256, cose.ES384, cose.EdDSA)
	require.Equal(t, cose.ES384, register(t, client, req).Credential.PublicKey.Algorithm, "the platform's order counts")
}
