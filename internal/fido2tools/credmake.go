package fido2tools

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// credMakeOptions is the command line of fido2-cred -M.
type credMakeOptions struct {
	toggles
	enterprise, protect                      int
	largeBlob, debug, secret, quiet, rk, u2f bool
	raw                                      bool // the input has the client data, not its hash
	in, out                                  string
	kind                                     keyType
	device                                   string
}

const (
	credMakeLetters    = "a:bc:dhi:o:qrt:uvw"
	oldCredMakeLetters = "bc:dhi:o:qruv"
)

func (t *tool) credMake(args []string) error {
	o, err := t.parseCredMake(args)
	if err != nil {
		return err
	}
	return t.withFiles(o.in, o.out, func(in *lines, out *output) error { return t.runCredMake(o, in, out) })
}

func (t *tool) runCredMake(o *credMakeOptions, in *lines, out *output) (err error) {
	if o.kind, err = parseType(o.kind.name); err != nil {
		return err
	}
	req, err := t.readCredMake(o, in)
	if err != nil {
		return err
	}
	return t.withDevice(o.device, func(d *device) error {
		resp, err := d.makeCredential(o, req)
		if err != nil {
			return err
		}
		text, err := credMakeText(req, resp)
		if err != nil {
			return err
		}
		return out.write(text)
	})
}

func (t *tool) parseCredMake(args []string) (*credMakeOptions, error) {
	o := &credMakeOptions{kind: es256}
	letters := credMakeLetters
	if t.Old {
		letters = oldCredMakeLetters
	}
	operands, err := getopt{name: "-M", options: letters, stderr: t.Stderr}.parse(args, o.set)
	if err != nil {
		return nil, err
	}
	if len(operands) < 1 || len(operands) > 2 {
		return nil, errUsage
	}
	o.device = operands[0]
	if len(operands) > 1 {
		o.kind = keyType{name: operands[1]}
	}
	return o, nil
}

func (o *credMakeOptions) set(letter byte, argument string) (err error) {
	switch letter {
	case 'a':
		o.enterprise, err = number("-a", argument)
	case 'c':
		o.protect, err = number("-c", argument)
	case 'b':
		o.largeBlob = true
	case 'd':
		o.debug = true
	case 'h':
		o.secret = true
	case 'i':
		o.in = argument
	case 'o':
		o.out = argument
	case 'q':
		o.quiet = true
	case 'r':
		o.rk = true
	case 't':
		if err = o.toggles.set(argument); err == nil && o.up == off {
			err = fmt.Errorf("unsupported toggle: '%s'", argument)
		}
	case 'u':
		o.u2f = true
	case 'v':
		o.uv = on
	case 'w':
		o.raw = true
	default:
		err = errUsage
	}
	return err
}

// readCredMake reads the parameters and makes the request of them, as far as it needs no key.
func (t *tool) readCredMake(o *credMakeOptions, in *lines) (*ctap2.MakeCredentialRequest, error) {
	hash, rp, name, id := in.bytes(), in.text(), in.text(), in.bytes()
	if in.err != nil {
		return nil, in.err
	}
	if o.debug {
		t.dump(o.hashName(), hash)
		fmt.Fprintf(t.Stderr, "relying party id: %s\nuser name: %s\n", rp, name)
		t.dump("user id", id)
	}
	return &ctap2.MakeCredentialRequest{
		ClientDataHash:   hashed(hash, o.raw),
		RP:               ctap2.RelyingParty{ID: rp},
		User:             ctap2.User{ID: id, Name: name},
		PubKeyCredParams: []ctap2.CredentialParameter{{Algorithm: o.kind.algorithm, Type: ctap2.PublicKeyType}},
		Extensions:       ctap2.MakeCredentialExtensions{HMACSecret: o.secret, LargeBlobKey: o.largeBlob},
		Options:          ctap2.MakeCredentialOptions{ResidentKey: o.rk},
	}, nil
}

func (o *credMakeOptions) hashName() string { return clientDataName(o.raw) }

// clientDataName is what -d calls the first line.
func clientDataName(raw bool) string {
	if raw {
		return "client data"
	}
	return "client data hash"
}

// hashed returns the hash of client data, or what is one already.
func hashed(b []byte, raw bool) []byte {
	if !raw {
		return b
	}
	hash := sha256.Sum256(b)
	return hash[:]
}

// makeCredential creates a credential without the PIN if it may, and with it if the key wants it.
func (d *device) makeCredential(
	o *credMakeOptions, req *ctap2.MakeCredentialRequest,
) (*ctap2.MakeCredentialResponse, error) {
	if o.u2f {
		d.forceU2F()
	}
	if o.protect > ctap2.CredProtectUVRequired {
		return nil, d.failed("fido_cred_set_prot", codeInvalidArgument)
	}
	req.Extensions.CredProtect = uint(o.protect)
	if o.enterprise > 2 {
		return nil, d.failed("fido_cred_set_entattest", codeInvalidArgument)
	}
	req.EnterpriseAttestation = uint(o.enterprise)
	resp, err := (*ctap2.MakeCredentialResponse)(nil), error(ctap2.ErrPUATRequired)
	if o.pin != on || o.uv == on {
		resp, err = d.makeCredentialWith(o, req, nil)
	}
	if codeOf(err) == code(ctap2.ErrPUATRequired) && err != nil && !o.quiet && o.pin != off {
		pin, askErr := d.askCheckedPIN(d.path)
		if askErr != nil {
			return nil, askErr
		}
		defer clear(pin)
		resp, err = d.makeCredentialWith(o, req, pin)
	}
	return resp, d.failed("fido_dev_make_cred", err)
}

// makeCredentialWith creates a credential with the PIN, or without one where it is nil.
func (d *device) makeCredentialWith(
	o *credMakeOptions, req *ctap2.MakeCredentialRequest, pin []byte,
) (*ctap2.MakeCredentialResponse, error) {
	if d.info == nil {
		return d.register(o, req, pin)
	}
	sent := *req
	sent.Options.UserVerification = o.uv == on
	if pin != nil || o.uv == on && d.option("pinUvAuthToken") {
		token, err := d.token(pin, ctap2.PermissionMakeCredential, req.RP.ID)
		if err != nil {
			return nil, err
		}
		defer token.Clear()
		sent.PINUVAuthParam, sent.PINUVAuthProtocol = token.Authenticate(req.ClientDataHash), token.Protocol()
		sent.Options.UserVerification = false
	}
	resp, err := d.ctap2.MakeCredential(d.ctx, &sent)
	if err != nil {
		return nil, err
	}
	return resp, checkCredential(req, resp)
}

// checkCredential checks what the tools do: that there is a credential, of the algorithm that was asked for.
func checkCredential(req *ctap2.MakeCredentialRequest, resp *ctap2.MakeCredentialResponse) error {
	data, err := ctap2.ParseAuthenticatorData(resp.AuthData)
	if err != nil || data.Credential == nil || data.Credential.PublicKey == nil {
		return codeRXInvalidCBOR
	}
	algorithm := data.Credential.PublicKey.Algorithm
	if algorithm == cose.Ed25519 {
		algorithm = cose.EdDSA
	}
	if algorithm != req.PubKeyCredParams[0].Algorithm {
		return codeRXInvalidCBOR
	}
	switch resp.Format {
	case "packed", "fido-u2f", "none", "tpm":
		return nil
	}
	return codeRXInvalidCBOR
}

// statement is what the tools show of an attestation statement.
type statement struct {
	Signature    []byte   `cbor:"sig"`
	Certificates [][]byte `cbor:"x5c"`
}

// credMakeText is what the tool writes of a new credential.
func credMakeText(req *ctap2.MakeCredentialRequest, resp *ctap2.MakeCredentialResponse) ([]byte, error) {
	var s statement
	if len(resp.AttStmt) > 0 {
		if err := ctapcbor.Unmarshal(resp.AttStmt, &s); err != nil {
			return nil, errOutput
		}
	}
	data, err := ctap2.ParseAuthenticatorData(resp.AuthData)
	if err != nil || s.Signature == nil {
		return nil, errOutput // attestation format none has no signature
	}
	text := new(bytes.Buffer)
	for _, line := range []string{
		encodeBase64(req.ClientDataHash), req.RP.ID, resp.Format, byteStringText(resp.AuthData),
		encodeBase64(data.Credential.ID), encodeBase64(s.Signature),
	} {
		fmt.Fprintln(text, line)
	}
	if len(s.Certificates) > 0 {
		fmt.Fprintln(text, encodeBase64(s.Certificates[0]))
	}
	if len(resp.LargeBlobKey) > 0 {
		fmt.Fprintln(text, encodeBase64(resp.LargeBlobKey))
	}
	return text.Bytes(), nil
}

// byteStringText returns bytes in base64 with the head of a CBOR byte string in front, as the tools have authenticator data.
func byteStringText(b []byte) string {
	encoded, err := ctapcbor.Marshal(b)
	if err != nil {
		return "" // unreachable: a byte string can always be encoded
	}
	return encodeBase64(encoded)
}
