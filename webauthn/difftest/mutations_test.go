package difftest_test

import (
	"maps"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"

	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
)

const mutationCount = 10_000

// A difference is a reason why one of the two refuses what the other accepts.
type difference struct {
	refusal *regexp.Regexp // the error of the one who refuses
	why     string
}

func because(why, refusal string) difference { return difference{regexp.MustCompile(refusal), why} }

// oursIsStricter lists what keyfob refuses and go-webauthn accepts.
var oursIsStricter = []difference{
	because("the syntax in CDDL of WebAuthn Level 3, section 8, has no other members, and procedures verify the syntax",
		`attestation: [a-z0-9-]+: (part \d+: [a-z0-9-]+: )?unknown member`),
	because("sections 6.5.5 and 8.9: the same for attestation objects and parts, whose names go-webauthn matches in any case",
		`attestation object: |attestation: compound: part \d: (the members are not|fmt: )`),
	because("section 8.7: the statement of format none is an empty map; null is none",
		`attestation: none: is a <nil>, want a map`),
	because("every certificate of x5c is part of the trust path, so each must be one; go-webauthn parses the first only, "+
		"without its Metadata Service",
		`x5c: |x5c is not a list of certificates`),
	because("section 8.2.1: the basic constraints have CA set to false, so there are some",
		`attestation certificate: no basic constraints`),
	because("section 8.3: what is behind or missing in the TPM's structures is not read over",
		`attestation: tpm: (certInfo|pubArea): `),
	because("section 5.8.5: a COSE_Key has what its type demands, once, and its point is on the curve; go-webauthn finds the "+
		"latter when the key is used first",
		`public key: (cose: |EOF|unexpected EOF)`),
	because("section 6.1: the flag AT says that there is a credential, and bytes behind the end are an error",
		`authenticator data: ctap2: `),
	because("section 5.8.1: names of members count case, none repeats, and none is null",
		`client data: .*(missing|repeats|null)`),
	because("section 13.4.9: an origin is the string that clients make of it (RFC 6454); go-webauthn parses it as a URL, and "+
		"ignores user names, paths and the usual port", `origin: "[^"]*" is not expected`),
	because("section 7.2 leaves it to the relying party; keyfob fails unless told otherwise, go-webauthn warns",
		`signature counter: `),
}

// theirsIsStricter lists what go-webauthn refuses and keyfob accepts.
var theirsIsStricter = []difference{
	because("a registered manufacturer is worth no more than the certificate that says so: keyfob checks the form, and says in "+
		"NotChecked that it did not look it up", `Invalid TPM manufacturer`),
	because("certificates must be valid when VerifyTrust follows them; without that their times prove nothing",
		`no longer valid or not yet valid`),
	because("how old a statement may be is for the relying party to say: keyfob says in NotChecked that it did not compare; and "+
		"statements are made before the first change, so a slow machine gets to see this",
		`SafetyNet response with timestamp before one minute ago`),
	because("any two letters are a country: the list changes, and the certificate is worth what its issuer is",
		`Country Code is invalid`),
	because("WebAuthn Level 3 has no token binding any more: it is a member that nobody knows",
		`token binding present`),
	because("section 7.1, step 5: UTF-8 decoding strips a byte order mark; and keyfob takes invalid UTF-8 in CBOR, since keys "+
		"truncate names within a character", `Error parsing attestation response|Error parsing assertion response`),
}

// Whatever is changed, both come to the same verdict, or differ for a reason that is listed.
func TestMutations(t *testing.T) {
	base := mutationBase(t)
	accepted, refused, differ := 0, 0, make(map[string]int)
	for seed := range uint64(mutationCount) {
		r := rand.New(rand.NewPCG(seed, 0))
		c := pick(r, base).clone()
		c.allowCrossOrigin = r.IntN(2) == 0
		what := mutate(r, c, pick(r, base))
		ours, theirs := bothVerdicts(c)
		switch {
		case ours == nil && theirs == nil:
			accepted++
		case ours != nil && theirs != nil:
			refused++
		case ours != nil:
			differ[explained(t, "stricter", oursIsStricter, c.name+": "+what, ours)]++
		default:
			differ[explained(t, "laxer", theirsIsStricter, c.name+": "+what, theirs)]++
		}
	}
	t.Logf("%d mutations: both accept %d, both refuse %d", mutationCount, accepted, refused)
	require.Greater(t, accepted, mutationCount/20, "some changes must be harmless")
	require.Greater(t, refused, mutationCount/2)
	for _, why := range slices.Sorted(maps.Keys(differ)) {
		t.Logf("%4d %s", differ[why], why)
	}
}

func explained(t *testing.T, kind string, list []difference, what string, refusal error) string {
	t.Helper()
	for _, d := range list {
		if d.refusal.MatchString(refusal.Error()) {
			return kind + ": " + d.why
		}
	}
	require.Fail(t, "keyfob is "+kind+" for no reason that is listed", "%s: %v", what, refusal)
	return ""
}

// mutationBase has one ceremony of each kind that both accept, and the vectors.
func mutationBase(t testing.TB) []*ceremony {
	t.Helper()
	var base []*ceremony
	for _, r := range recipes() {
		base = append(base, r.make(t))
	}
	if v, err := readVectors(); err == nil && v != nil {
		for _, vector := range v.Vectors {
			base = append(base, vector.ceremony())
		}
	}
	base = slices.DeleteFunc(base, func(c *ceremony) bool {
		c.allowCrossOrigin = true
		ours, theirs := bothVerdicts(c)
		return ours != nil || theirs != nil
	})
	require.Greater(t, len(base), 100)
	return base
}

// bothVerdicts are those of the registration and, if both accept it, of the assertion. What both accept they must
// understand alike.
func bothVerdicts(c *ceremony) (ours, theirs error) {
	registered, ours := oursRegistration(c)
	key, theirs := theirsRegistration(c)
	if ours != nil || theirs != nil {
		return ours, theirs
	}
	if theirKey, err := cose.ParseKey(key); err != nil || !reflect.DeepEqual(theirKey, registered.Credential.PublicKey) {
		panic("another key is read")
	}
	return oursAssertion(c, &registered.Credential), theirsAssertion(c, &registered.Credential, key)
}
