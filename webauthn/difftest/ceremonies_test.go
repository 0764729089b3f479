package difftest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/virtual"
)

const ceremonyCount = 1000

// theyLack are the reasons why go-webauthn refuses a good ceremony, by parts of its errors.
var theyLack = map[string]string{
	"unsupported algorithm -53":                           "go-webauthn does not know Ed448",
	"AKP key type requires this library to be built with": "go-webauthn takes ML-DSA from the standard library of Go 1.27",
}

func lacking(err error) string {
	for part, reason := range theyLack {
		if strings.Contains(err.Error(), part) {
			return reason
		}
	}
	return ""
}

// onVirtual are the algorithms with which the virtual key makes attestations of each format. RSA keys take their time.
var onVirtual = map[virtual.Attestation][]cose.Algorithm{
	virtual.AttestationNone:       {cose.ES256, cose.EdDSA, cose.ES384, cose.ES512},
	virtual.AttestationSelf:       {cose.ES256, cose.EdDSA, cose.ES384, cose.ES512},
	virtual.AttestationBasic:      {cose.ES256, cose.EdDSA, cose.ES384, cose.ES512, cose.RS256},
	virtual.AttestationTPM:        {cose.ES256, cose.RS256},
	virtual.AttestationAndroidKey: {cose.ES256},
	virtual.AttestationApple:      {cose.ES256},
	virtual.AttestationFIDOU2F:    {cose.ES256},
	virtual.AttestationSafetyNet:  {cose.ES256},
	virtual.AttestationCompound:   {cose.ES256},
}

// Everybody accepts what authenticators of all formats and algorithms make. So many kinds come from the virtual key, the
// others from the generators of package attest.
func TestCeremonies(t *testing.T) {
	made, differ := 0, make(map[string]int)
	check := func(c *ceremony) {
		made++
		registered, err := oursRegistration(c)
		require.NoError(t, err, c.name)
		require.NoError(t, oursAssertion(c, &registered.Credential), c.name)
		key, err := theirsRegistration(c)
		if err == nil {
			raw := registered.AuthenticatorData.Credential.RawPublicKey
			require.Equal(t, raw, key, c.name)
			err = theirsAssertion(c, &registered.Credential, key)
		}
		if err != nil {
			require.NotEmpty(t, lacking(err), "%s: %v", c.name, err)
			differ[lacking(err)]++
		}
	}
	kinds := 0
	for attestation, algorithms := range onVirtual {
		kinds += len(algorithms)
		for _, alg := range algorithms {
			for range 10 {
				check(onVirtualKey(t, alg, attestation))
			}
		}
	}
	all := recipes()
	for made < ceremonyCount {
		check(all[made%len(all)].make(t))
	}
	t.Logf("%d ceremonies of %d kinds", made, len(all)+kinds)
	for reason, n := range differ {
		t.Logf("%d differ: %s", n, reason)
	}
}
