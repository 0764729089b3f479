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

// Everybody accepts what authenticators of all formats and algorithms make. Twelve kinds come from the virtual key, the
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
	for _, alg := range []cose.Algorithm{cose.ES256, cose.EdDSA, cose.ES384, cose.ES512} {
		for _, a := range []virtual.Attestation{virtual.AttestationNone, virtual.AttestationSelf, virtual.AttestationBasic} {
			for range 10 {
				check(onVirtualKey(t, alg, a))
			}
		}
	}
	all := recipes()
	for made < ceremonyCount {
		check(all[made%len(all)].make(t))
	}
	t.Logf("%d ceremonies of %d kinds", made, len(all)+12)
	for reason, n := range differ {
		t.Logf("%d differ: %s", n, reason)
	}
}
