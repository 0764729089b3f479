package virtual

import (
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/webauthn"
)

// Each format with each algorithm that it takes verifies, up to the key's own root.
func TestAttestationOfEachMaker(t *testing.T) {
	for format, algorithms := range map[Attestation][]cose.Algorithm{
		AttestationBasic:      {cose.ES256, cose.ES384, cose.EdDSA, cose.RS256},
		AttestationTPM:        {cose.ES256, cose.RS256},
		AttestationAndroidKey: {cose.ES256},
		AttestationApple:      {cose.ES256},
		AttestationFIDOU2F:    {cose.ES256},
		AttestationSafetyNet:  {cose.ES256},
		AttestationCompound:   {cose.ES256},
	} {
		for _, algorithm := range algorithms {
			t.Run(fmt.Sprintf("%d %v", format, algorithm), func(t *testing.T) {
				t.Parallel()
				key, err := New(Config{Attestation: format, Algorithms: []cose.Algorithm{algorithm}})
				require.NoError(t, err)
				defer key.Close()
				hash := make([]byte, 32)
				client := ctap2.Client{Transport: key}
				resp, err := client.MakeCredential(t.Context(), &ctap2.MakeCredentialRequest{
					ClientDataHash:   hash,
					RP:               ctap2.RelyingParty{ID: "example.org"},
					User:             ctap2.User{ID: []byte{1}},
					PubKeyCredParams: []ctap2.CredentialParameter{{Algorithm: algorithm, Type: ctap2.PublicKeyType}},
				})
				require.NoError(t, err)
				if name, other := makers[format]; other {
					require.Equal(t, name, resp.Format)
				}
				object := &webauthn.AttestationObject{Format: resp.Format, AuthData: resp.AuthData, Statement: resp.AttStmt}
				attestation, err := object.Verify(hash)
				require.NoError(t, err)
				anchors := x509.NewCertPool()
				anchors.AddCert(key.AttestationRoot())
				require.NoError(t, attestation.VerifyTrust(anchors, time.Now()))
				require.Error(t, attestation.VerifyTrust(x509.NewCertPool(), time.Now()))
				hash[0] = 1
				_, err = object.Verify(hash)
				require.Error(t, err, "another client data hash")
			})
		}
	}
}
