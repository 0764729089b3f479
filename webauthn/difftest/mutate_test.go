package difftest_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/webauthn"
)

func (c *ceremony) clone() *ceremony {
	d := *c
	d.registration.RawID = bytes.Clone(c.registration.RawID)
	d.registration.ClientDataJSON = bytes.Clone(c.registration.ClientDataJSON)
	d.registration.AttestationObject = bytes.Clone(c.registration.AttestationObject)
	d.assertion.RawID = bytes.Clone(c.assertion.RawID)
	d.assertion.ClientDataJSON = bytes.Clone(c.assertion.ClientDataJSON)
	d.assertion.AuthenticatorData = bytes.Clone(c.assertion.AuthenticatorData)
	d.assertion.Signature = bytes.Clone(c.assertion.Signature)
	return &d
}

// mutate changes one thing of c, perhaps by a part of other, and says what.
func mutate(r *rand.Rand, c, other *ceremony) string {
	type field struct {
		name string
		p    *[]byte
		q    []byte
	}
	fields := []field{
		{"attestationObject", &c.registration.AttestationObject, other.registration.AttestationObject},
		{"registration's clientDataJSON", &c.registration.ClientDataJSON, other.registration.ClientDataJSON},
		{"authenticatorData", &c.assertion.AuthenticatorData, other.assertion.AuthenticatorData},
		{"assertion's clientDataJSON", &c.assertion.ClientDataJSON, other.assertion.ClientDataJSON},
		{"signature", &c.assertion.Signature, other.assertion.Signature},
		{"registration's rawId", &c.registration.RawID, other.registration.RawID},
	}
	switch r.IntN(4) {
	case 0:
		return mutateObject(r, c, other)
	case 1:
		return mutateJSON(r, pick(r, []*[]byte{&c.registration.ClientDataJSON, &c.assertion.ClientDataJSON}))
	case 2: // the attestation object has the most in it
		f := fields[0]
		return f.name + ": " + mutateBytes(r, f.p, f.q)
	}
	f := pick(r, fields)
	return f.name + ": " + mutateBytes(r, f.p, f.q)
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

func mutateBytes(r *rand.Rand, p *[]byte, other []byte) string {
	b := *p
	if len(b) == 0 {
		*p = []byte{byte(r.Uint32())}
		return "one byte"
	}
	i := r.IntN(len(b))
	switch r.IntN(8) {
	case 0, 1, 2:
		b[i] ^= 1 << r.IntN(8)
		return "bit flipped"
	case 3:
		b[i] = byte(r.Uint32())
		return "byte set"
	case 4:
		*p = slices.Delete(b, i, i+1)
		return "byte deleted"
	case 5:
		*p = slices.Insert(b, i, byte(r.Uint32()))
		return "byte inserted"
	case 6:
		*p = append(b, byte(r.Uint32()))
		return "byte appended"
	}
	*p = bytes.Clone(other)
	return "that of another ceremony"
}

// mutateObject changes the attestation object by its structure.
func mutateObject(r *rand.Rand, c, other *ceremony) string {
	var object, donor map[string]any
	if cbor.Unmarshal(c.registration.AttestationObject, &object) != nil ||
		cbor.Unmarshal(other.registration.AttestationObject, &donor) != nil {
		return "nothing"
	}
	what := mutateMembers(r, c, object, donor)
	if b, err := cbor.Marshal(object); err == nil {
		c.registration.AttestationObject = b
	}
	return "attestation object: " + what
}

var oddValues = []any{nil, 0, -7, 7, "", "x", []byte{}, []byte{1}, []any{}, map[string]any{}, true}

func mutateMembers(r *rand.Rand, c *ceremony, object, donor map[string]any) string {
	switch r.IntN(7) {
	case 0:
		name := pick(r, []string{"fmt", "attStmt", "authData"})
		object[name] = donor[name]
		return name + " of another"
	case 1:
		object["fmt"] = pick(r, []any{
			"none", "packed", "tpm", "android-key", "android-safetynet", "fido-u2f", "apple", "compound", "x", "Packed",
		})
		return "another format"
	case 2:
		object[pick(r, []string{"fmt", "attStmt", "authData", "epAtt", "Fmt"})] = pick(r, oddValues)
		return "an odd member"
	case 3:
		delete(object, pick(r, []string{"fmt", "attStmt", "authData"}))
		return "a member deleted"
	case 4:
		return mutateAuthData(r, c, object)
	}
	if statement, ok := object["attStmt"].(map[any]any); ok {
		return mutateStatement(r, statement, donor["attStmt"])
	}
	if parts, ok := object["attStmt"].([]any); ok {
		return mutateParts(r, object, parts)
	}
	return "nothing"
}

func mutateStatement(r *rand.Rand, statement map[any]any, donor any) string {
	names := []any{"alg", "sig", "x5c", "ver", "certInfo", "pubArea", "response", "ecdaaKeyId", "more"}
	name := pick(r, names)
	switch r.IntN(4) {
	case 0:
		statement[name] = pick(r, oddValues)
		return "an odd member of the statement"
	case 1:
		delete(statement, name)
		return "a member of the statement deleted"
	case 2:
		if x5c, ok := statement["x5c"].([]any); ok && len(x5c) > 0 {
			switch r.IntN(3) {
			case 0:
				slices.Reverse(x5c)
			case 1:
				statement["x5c"] = x5c[:len(x5c)-1]
			case 2:
				statement["x5c"] = append(x5c, x5c[0])
			}
			return "other certificates"
		}
	}
	if from, ok := donor.(map[any]any); ok {
		if value, ok := from[name]; ok {
			statement[name] = value
			return "a member of another's statement"
		}
	}
	return "nothing"
}

func mutateParts(r *rand.Rand, object map[string]any, parts []any) string {
	switch r.IntN(4) {
	case 0:
		object["attStmt"] = parts[:1]
		return "one part"
	case 1:
		object["attStmt"] = append(parts, parts[0])
		return "a part twice"
	case 2:
		object["attStmt"] = append(parts, map[string]any{"fmt": "x", "attStmt": map[string]any{}})
		return "an unknown part"
	}
	object["attStmt"] = append(parts, map[string]any{"fmt": "compound", "attStmt": parts})
	return "a compound part"
}

// mutateAuthData changes the authenticator data by its structure, which a statement of format none does not mind.
func mutateAuthData(r *rand.Rand, c *ceremony, object map[string]any) string {
	authData, _ := object["authData"].([]byte)
	d, err := webauthn.ParseAuthenticatorData(authData)
	if err != nil || d.Credential == nil {
		return "nothing"
	}
	what := "counter"
	switch r.IntN(6) {
	case 0:
		d.Flags ^= pick(r, []ctap2.Flags{ctap2.FlagUP, ctap2.FlagUV, ctap2.FlagBE, ctap2.FlagBS, 2, 0x20})
		what = "flags"
	case 1:
		d.Credential.ID = make([]byte, pick(r, []int{1, 2, 1022, 1023}))
		c.registration.RawID, c.assertion.RawID = d.Credential.ID, d.Credential.ID
		what = "credential ID"
	case 2:
		d.Credential.AAGUID = ctap2.AAGUID{}
		what = "AAGUID"
	case 3:
		d.Flags |= ctap2.FlagED
		d.Extensions = pick(r, [][]byte{{0xa0}, {0xa1, 0x61, 'x', 0xf5}, {0xa1, 0x61, 'x', 0x81, 0x81, 0x81, 0x81, 0x01}})
		what = "extensions"
	case 4:
		what = "public key: " + mutateKey(r, d.Credential)
	default:
		d.SignCount = r.Uint32()
	}
	if b, err := d.Marshal(); err == nil {
		object["authData"] = b
	}
	return what
}

func mutateKey(r *rand.Rand, c *ctap2.AttestedCredential) string {
	var key map[int]any
	if cbor.Unmarshal(c.RawPublicKey, &key) != nil {
		return "nothing"
	}
	what := "a label more"
	switch r.IntN(4) {
	case 0:
		key[pick(r, []int{2, 4, 5, -4, -70000})] = pick(r, oddValues)
	case 1:
		delete(key, pick(r, []int{1, 3, -1, -2, -3}))
		what = "a label deleted"
	case 2:
		key[pick(r, []int{1, 3, -1, -2, -3})] = pick(r, oddValues)
		what = "an odd value"
	case 3:
		if x, ok := key[-2].([]byte); ok && len(x) > 0 {
			key[-2] = pick(r, [][]byte{x[1:], append([]byte{0}, x...), make([]byte, len(x))})
		}
		what = "another coordinate"
	}
	if b, err := cbor.Marshal(key); err == nil {
		c.RawPublicKey = b
	}
	return what
}

// mutateJSON changes client data by its structure. Client data of a registration of format none is not signed.
func mutateJSON(r *rand.Rand, p *[]byte) string {
	s := string(*p)
	edit := pick(r, [][2]string{
		{`{`, ` {`}, {`}`, `} `}, {`}`, `}x`}, {`{`, `{"x":1,`}, {`}`, `,"x":[{}]}`}, {`}`, `,"x":1,"x":1}`},
		{`"type"`, `"Type"`}, {`}`, `,"type":"webauthn.get"}`}, {`{`, `{"type":"x",`}, {`webauthn`, `Webauthn`},
		{`"challenge":"`, `"challenge":"A`}, {`","origin`, `=","origin`}, {`"challenge"`, `"Challenge"`},
		{`https`, `http`}, {`example.org`, `EXAMPLE.org`}, {`example.org`, `example.org/`}, {`example.org`, `example.org:443`},
		{`example.org`, `example.org:8443`}, {`example.org`, `example.org.`}, {`example.org`, `user@example.org`},
		{`https://example.org`, `null`}, {`"https://example.org"`, `null`}, {`https:`, `https\u003a`},
		{`false`, `true`}, {`false`, `null`}, {`false`, `"false"`}, {`false`, `0`}, {`,"crossOrigin":false`, ``},
		{`}`, `,"topOrigin":"https://example.com"}`}, {`false`, `true,"topOrigin":"https://example.com"`},
		{`false`, `true,"topOrigin":"https://example.net"`}, {`false`, `true,"topOrigin":""`}, {`false`, `true,"topOrigin":null`},
		{`}`, `,"tokenBinding":{"status":"supported"}}`}, {`}`, `,"tokenBinding":{"status":"x"}}`}, {`{`, "\ufeff{"},
		{`}`, ``}, {`{`, `[{`}, {`"origin"`, `"origin" `}, {`,`, `,,`},
	})
	*p = []byte(strings.Replace(s, edit[0], edit[1], 1))
	return "client data: " + edit[0] + " -> " + edit[1]
}
