package fido2tools

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// assertVerifyOptions is the command line of fido2-assert -V.
type assertVerifyOptions struct {
	debug, secret, up, uv bool
	in                    string
	kind                  keyType
}

func (t *tool) assertVerify(args []string) error {
	o := &assertVerifyOptions{kind: es256}
	operands, err := getopt{name: "-V", options: "dhi:pv", stderr: t.Stderr}.parse(args, o.set)
	if err != nil {
		return err
	}
	if len(operands) < 1 || len(operands) > 2 {
		return errUsage
	}
	in, closer, err := t.input(o.in)
	if err != nil {
		return err
	}
	defer closer.Close()
	if len(operands) > 1 {
		if o.kind, err = parseType(operands[1]); err != nil {
			return err
		}
	}
	key, err := t.readPublicKey(o.kind, operands[0])
	if err != nil {
		return err
	}
	return t.verifySigned(o, in, key)
}

func (o *assertVerifyOptions) set(letter byte, argument string) error {
	switch letter {
	case 'd':
		o.debug = true
	case 'h':
		o.secret = true
	case 'i':
		o.in = argument
	case 'p':
		o.up = true
	case 'v':
		o.uv = true
	default:
		return errUsage
	}
	return nil
}

// verifySigned reads the lines of an assertion and verifies it.
func (t *tool) verifySigned(o *assertVerifyOptions, in *lines, key *cose.Key) error {
	hash, rpID, encoded, signature := in.bytes(), in.text(), in.bytes(), in.bytes()
	if in.err != nil {
		return in.err
	}
	if o.debug {
		t.dump("client data hash", hash)
		fmt.Fprintf(t.Stderr, "relying party id: %s\n", rpID)
		t.dump("authenticator data", encoded)
		t.dump("signature", signature)
	}
	authData, data, err := parseAuthData(encoded)
	if err != nil {
		return t.failed("fido_assert_set", err)
	}
	if err := o.check(data, rpID); err != nil {
		return t.failed("fido_assert_verify", err)
	}
	if key.Verify(slices.Concat(authData, hash), signature) != nil {
		return t.failed("fido_assert_verify", codeInvalidSig)
	}
	return nil
}

// check compares what the authenticator data says with what is expected.
func (o *assertVerifyOptions) check(data *ctap2.AuthenticatorData, rpID string) error {
	var flags ctap2.Flags
	if o.up {
		flags |= ctap2.FlagUP
	}
	if o.uv {
		flags |= ctap2.FlagUV
	}
	var outputs ctap2.GetAssertionOutputs
	if data.Extensions != nil && ctapcbor.Unmarshal(data.Extensions, &outputs) != nil {
		return codeInvalidParam
	}
	if !data.Flags.Has(flags) || (outputs.HMACSecret != nil) != o.secret || data.RPIDHash != sha256.Sum256([]byte(rpID)) {
		return codeInvalidParam
	}
	return nil
}
