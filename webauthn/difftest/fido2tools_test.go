package difftest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/webauthn"
)

// toolTypes are the algorithms of fido2-tools by their names there.
var toolTypes = map[cose.Algorithm]string{
	cose.ES256: "es256", cose.ES384: "es384", cose.RS256: "rs256", cose.EdDSA: "eddsa",
}

// needTools skips the test where Debian's package fido2-tools is not installed.
func needTools(t *testing.T) {
	t.Helper()
	for _, name := range []string{"fido2-cred", "fido2-assert"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not installed: Debian has it in the package fido2-tools", name)
		}
	}
}

// tool returns nil if a tool exits with 0, else what it said.
func tool(t *testing.T, stdin []string, name string, args ...string) error {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin = strings.NewReader(strings.Join(stdin, "\n") + "\n")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := cmd.Run()
	if _, exited := err.(*exec.ExitError); exited {
		return fmt.Errorf("%s", strings.TrimSpace(stderr.String()))
	}
	require.NoError(t, err)
	return nil
}

func line(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// byteString is authenticator data in the form of the tools.
func byteString(b []byte) string {
	encoded, err := cbor.Marshal(b)
	if err != nil {
		panic(err) // a byte string
	}
	return line(encoded)
}

// toolRegistration is the verdict of fido2-cred, which knows nothing of client data but its hash.
func toolRegistration(t *testing.T, c *ceremony) error {
	t.Helper()
	o, err := webauthn.ParseAttestationObject(c.registration.AttestationObject)
	require.NoError(t, err)
	var statement struct {
		Sig []byte   `cbor:"sig"`
		X5C [][]byte `cbor:"x5c"`
	}
	if err := cbor.Unmarshal(o.Statement, &statement); err != nil {
		return err
	}
	hash := webauthn.ClientDataHash(c.registration.ClientDataJSON)
	stdin := []string{
		line(hash[:]), rpID, o.Format, byteString(o.AuthData), line(c.registration.RawID), line(statement.Sig),
	}
	if len(statement.X5C) > 0 {
		stdin = append(stdin, line(statement.X5C[0]))
	}
	return tool(t, stdin, "fido2-cred", "-V", toolType(c.alg))
}

func toolType(alg cose.Algorithm) string {
	if name, ok := toolTypes[alg]; ok {
		return name
	}
	return alg.String()
}

func toolAssertion(t *testing.T, c *ceremony, key *cose.Key) error {
	t.Helper()
	der, err := key.MarshalPKIX()
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600))
	hash := webauthn.ClientDataHash(c.assertion.ClientDataJSON)
	stdin := []string{line(hash[:]), rpID, byteString(c.assertion.AuthenticatorData), line(c.assertion.Signature)}
	return tool(t, stdin, "fido2-assert", "-V", "-p", file, toolType(c.alg))
}

func TestToolsOnVectors(t *testing.T) {
	needTools(t)
	registrations, assertions := 0, 0
	for _, v := range loadVectors(t).Vectors {
		c := v.ceremony()
		registered, err := oursRegistration(c)
		require.NoError(t, err)
		if err := toolRegistration(t, c); err == nil {
			registrations++
		} else {
			t.Logf("%s: %v", v.Name, err)
		}
		if err := toolAssertion(t, c, registered.Credential.PublicKey); err == nil {
			assertions++
		} else {
			t.Logf("%s: %v", v.Name, err)
		}
	}
	require.Equal(t, 5, registrations, "where keyfob accepts 15")
	require.Equal(t, 12, assertions, "where keyfob accepts 15")
}

// toolRecipes are the ceremonies that the tools know.
func toolRecipes() []recipe {
	all := []recipe{{format: "fido-u2f", alg: cose.ES256}}
	for _, alg := range slices.Sorted(maps.Keys(toolTypes)) {
		all = append(all, recipe{format: "self", alg: alg}, recipe{format: "packed", alg: alg})
	}
	return all
}

// toolsDiffer are the reasons why the tools accept what keyfob refuses, all where fido-u2f signs nothing.
var toolsDiffer = []difference{
	because("section 6.1: bytes behind the end of authenticator data are an error", `bytes too many|extension outputs`),
	because("section 7.1: what cannot be backed up is not", `backup: `),
}

const toolMutations = 300

func TestToolsOnCeremonies(t *testing.T) {
	needTools(t)
	var base []*ceremony
	for _, r := range toolRecipes() {
		c := r.make(t)
		registered, err := oursRegistration(c)
		require.NoError(t, err, c.name)
		require.NoError(t, oursAssertion(c, &registered.Credential), c.name)
		require.NoError(t, toolRegistration(t, c), c.name)
		require.NoError(t, toolAssertion(t, c, registered.Credential.PublicKey), c.name)
		base = append(base, c)
	}
	accepted, refused, differ := 0, 0, make(map[string]int)
	for seed := range uint64(toolMutations) {
		r := rand.New(rand.NewPCG(seed, 0))
		good := pick(r, base)
		c := good.clone()
		what, ours, tools := toolVerdicts(t, r, good, c)
		switch {
		case ours == nil && tools == nil:
			accepted++
		case ours != nil && tools != nil:
			refused++
		case ours != nil:
			differ[explained(t, "stricter", toolsDiffer, c.name+": "+what, ours)]++
		default:
			require.Fail(t, "keyfob is laxer", "%s: %s: %v", c.name, what, tools)
		}
	}
	t.Logf("%d mutations: both accept %d, both refuse %d", toolMutations, accepted, refused)
	for _, why := range slices.Sorted(maps.Keys(differ)) {
		t.Logf("%4d %s", differ[why], why)
	}
}

// toolVerdicts changes a bit or more of what both sides see, in the registration or the assertion.
func toolVerdicts(t *testing.T, r *rand.Rand, good, c *ceremony) (what string, ours, tools error) {
	t.Helper()
	if r.IntN(2) == 0 {
		registered, err := oursRegistration(good)
		require.NoError(t, err)
		p := pick(r, []*[]byte{&c.assertion.AuthenticatorData, &c.assertion.Signature})
		what = "assertion: " + mutateBytes(r, p, *p)
		return what, oursAssertion(c, &registered.Credential), toolAssertion(t, c, registered.Credential.PublicKey)
	}
	o, err := webauthn.ParseAttestationObject(c.registration.AttestationObject)
	require.NoError(t, err)
	if r.IntN(4) == 0 {
		d, err := webauthn.ParseAuthenticatorData(o.AuthData)
		require.NoError(t, err)
		d.Flags ^= pick(r, []ctap2.Flags{ctap2.FlagUP, ctap2.FlagUV, ctap2.FlagBE, ctap2.FlagBS, 2, 0x20})
		what = "registration: flags"
		o.AuthData, err = d.Marshal()
		require.NoError(t, err)
	} else {
		what = "registration: " + mutateBytes(r, &o.AuthData, o.AuthData)
	}
	c.registration.AttestationObject, err = o.Marshal()
	require.NoError(t, err)
	_, ours = oursRegistration(c)
	return what, ours, toolRegistration(t, c)
}
