package fido2tools

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// credVerifyOptions is the command line of fido2-cred -V.
type credVerifyOptions struct {
	protect           int
	debug, secret, uv bool
	in, out           string
	kind              keyType
}

// attested is a new credential as fido2-cred -M wrote it.
type attested struct {
	hash        []byte
	rpID        string
	format      string
	authData    []byte
	data        *ctap2.AuthenticatorData
	signature   []byte
	certificate []byte // empty for self attestation
}

func (t *tool) credVerify(args []string) error {
	o := &credVerifyOptions{kind: es256}
	operands, err := getopt{name: "-V", options: "c:dhi:o:v", stderr: t.Stderr}.parse(args, o.set)
	if err != nil {
		return err
	}
	if len(operands) > 1 {
		return errUsage
	}
	return t.withFiles(o.in, o.out, func(in *lines, out *output) error { return t.runCredVerify(o, operands, in, out) })
}

func (t *tool) runCredVerify(o *credVerifyOptions, kind []string, in *lines, out *output) (err error) {
	if len(kind) > 0 {
		if o.kind, err = parseType(kind[0]); err != nil {
			return err
		}
	}
	c, err := t.readCredVerify(o, in)
	if err != nil {
		return err
	}
	if err := t.verifyAttested(o, c); err != nil {
		return err
	}
	text, err := credentialText(c.data.Credential.ID, c.data.Credential.PublicKey)
	if err != nil {
		return err
	}
	return out.write(text)
}

func (o *credVerifyOptions) set(letter byte, argument string) (err error) {
	switch letter {
	case 'c':
		o.protect, err = number("-c", argument)
	case 'd':
		o.debug = true
	case 'h':
		o.secret = true
	case 'i':
		o.in = argument
	case 'o':
		o.out = argument
	case 'v':
		o.uv = true
	default:
		err = errUsage
	}
	return err
}

// readCredVerify reads the lines of a credential. What does not fit the type is an error here.
func (t *tool) readCredVerify(o *credVerifyOptions, in *lines) (*attested, error) {
	c := &attested{hash: in.bytes(), rpID: in.text(), format: in.text()}
	encoded, id := in.bytes(), in.bytes()
	c.signature = in.bytes()
	if in.err != nil {
		return nil, in.err
	}
	c.certificate = in.optionalBytes()
	if o.debug {
		t.dump("client data hash", c.hash)
		fmt.Fprintf(t.Stderr, "relying party id: %s\nformat: %s\n", c.rpID, c.format)
		t.dump("authenticator data", encoded)
		t.dump("credential id", id)
		t.dump("signature", c.signature)
		t.dump("x509", c.certificate)
	}
	return c, t.failed("fido_cred_set", c.parse(o.kind, encoded))
}

// parse takes the authenticator data apart, of a credential of the given type.
func (c *attested) parse(kind keyType, encoded []byte) (err error) {
	if c.authData, c.data, err = parseAuthData(encoded); err != nil {
		return err
	}
	if !slices.Contains([]string{"packed", "fido-u2f", "none", "tpm"}, c.format) || c.data.Credential == nil {
		return codeInvalidArgument
	}
	key := c.data.Credential.PublicKey
	if key == nil || typeName(key.Algorithm) != kind.name {
		return codeInvalidArgument
	}
	return nil
}

// parseAuthData decodes authenticator data in its CBOR byte string.
func parseAuthData(encoded []byte) ([]byte, *ctap2.AuthenticatorData, error) {
	var authData []byte
	if _, err := ctapcbor.UnmarshalFirst(encoded, &authData); err != nil {
		return nil, nil, codeInvalidArgument
	}
	data, err := ctap2.ParseAuthenticatorData(authData)
	if err != nil {
		return nil, nil, codeInvalidArgument
	}
	return authData, data, nil
}

// verifyAttested verifies the attestation with its certificate, or with the credential's own key if it has none.
func (t *tool) verifyAttested(o *credVerifyOptions, c *attested) error {
	if o.protect > ctap2.CredProtectUVRequired {
		return t.failed("fido_cred_set_prot", codeInvalidArgument)
	}
	function, key := "fido_cred_verify_self", c.data.Credential.PublicKey
	if c.certificate != nil {
		function, key = "fido_cred_verify", certifiedKey(c.certificate)
	}
	if err := c.check(o); err != nil {
		return t.failed(function, err)
	}
	message, err := c.signed()
	if err != nil {
		return t.failed(function, err)
	}
	if key == nil || key.Verify(message, c.signature) != nil {
		return t.failed(function, codeInvalidSig)
	}
	return nil
}

// check compares what the authenticator data says with what is expected.
func (c *attested) check(o *credVerifyOptions) error {
	flags := ctap2.FlagUP
	if o.uv {
		flags |= ctap2.FlagUV
	}
	var outputs ctap2.MakeCredentialOutputs
	if c.data.Extensions != nil && ctapcbor.Unmarshal(c.data.Extensions, &outputs) != nil {
		return codeInvalidParam
	}
	if c.data.RPIDHash != sha256.Sum256([]byte(c.rpID)) || !c.data.Flags.Has(flags) ||
		outputs.HMACSecret != o.secret || outputs.CredProtect != uint(o.protect) {
		return codeInvalidParam
	}
	return nil
}

// signed returns the bytes that an attestation signs.
func (c *attested) signed() ([]byte, error) {
	switch c.format {
	case "packed":
		return slices.Concat(c.authData, c.hash), nil
	case "fido-u2f":
		public, ok := c.data.Credential.PublicKey.Public.(*ecdsa.PublicKey)
		if !ok {
			return nil, codeInvalidArgument
		}
		point, err := public.Bytes()
		if err != nil {
			return nil, codeInvalidArgument
		}
		return slices.Concat([]byte{0}, c.data.RPIDHash[:], c.hash, c.data.Credential.ID, point), nil
	}
	return nil, codeInvalidArgument
}

// certifiedKey returns the key of an attestation certificate, nil where there is none for ES256: the lines do not say
// another algorithm.
func certifiedKey(der []byte) *cose.Key {
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil
	}
	key, err := cose.NewKey(cose.ES256, certificate.PublicKey)
	if err != nil {
		return nil
	}
	return key
}
