package guest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
)

// TestToolsAcceptWhatKeyfobMakes runs keyfob register and keyfob authenticate on both buses, with all types of
// credentials, and fido2-cred -V and fido2-assert -V on the results.
func TestToolsAcceptWhatKeyfobMakes(t *testing.T) {
	usb, uhid := attachSoftKey, attachSoftKeyByUHID
	for _, c := range []ceremony{
		{"usb, self, no PIN", usb, virtual.AttestationSelf, false},
		{"usb, x5c, PIN", usb, virtual.AttestationBasic, true},
		{"uhid, self, PIN", uhid, virtual.AttestationSelf, true},
		{"uhid, x5c, no PIN", uhid, virtual.AttestationBasic, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			key := c.attach(t, virtual.Config{Attestation: c.attestation})
			if c.withPIN {
				setPIN(t, key, pin)
			}
			c.requireAccepted(t, key, "es256", false)
			c.requireAccepted(t, key, "es256", true)
			c.requireAccepted(t, key, "es384", false)
			c.requireAccepted(t, key, "eddsa", true)
			c.requireAccepted(t, key, "rs256", false)
		})
	}
}

type ceremony struct {
	name        string
	attach      func(*testing.T, virtual.Config) *softKey
	attestation virtual.Attestation
	withPIN     bool
}

// requireAccepted makes a credential and uses it.
func (c ceremony) requireAccepted(t *testing.T, key *softKey, typeName string, resident bool) {
	t.Helper()
	register := []string{"--alg", typeName, "--user-id", base64URL("ada's id").String()}
	var authenticate, verify []string
	flags := ctap2.FlagUP
	if c.withPIN {
		authenticate, verify, flags = []string{"--uv", "--pin-file", pinFile(t, pin)}, []string{"-v"}, flags|ctap2.FlagUV
	}
	register = append(register, authenticate...)
	if resident {
		register = append(register, "--resident")
	}
	made := keyfobRegister(t, key, register...)
	require.Equal(t, flags|ctap2.FlagAT, made.Flags)
	tool := made.forTool(t)
	require.Equal(t, c.attestation == virtual.AttestationBasic, tool.x5c != nil)
	public := requireToolAccepts(t, tool, typeName, verify...)

	if !resident {
		authenticate = append(authenticate, "--credential", made.CredentialID.String())
	}
	used := keyfobAuthenticate(t, key, authenticate...)
	require.Equal(t, made.CredentialID, used.CredentialID)
	require.Equal(t, flags, used.Flags)
	require.Equal(t, resident, string(used.UserHandle) == "ada's id")
	requireToolAcceptsAssertion(t, used.forTool(), public, typeName, append(verify, "-p")...)
}
