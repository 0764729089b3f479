package fido2tools

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// assertGetOptions is the command line of fido2-assert -G.
type assertGetOptions struct {
	toggles
	largeBlob, debug, secret, rk, u2f bool
	raw                               bool // the input has the client data, not its hash
	withID                            bool // write the credential ID as well
	in, out                           string
	device                            string
}

const (
	assertGetLetters    = "bdhi:o:prt:uvw"
	oldAssertGetLetters = "bdhi:o:prt:uv"

	// optionCredentialID stands for --credential-id. Scripts that have resident credentials sign need the ID, for there
	// may be several; the original tool cannot tell it.
	optionCredentialID = 0x80
)

// maxAssertions is the number of assertions that are taken from a key. None has room for so many credentials.
const maxAssertions = 10_000

// signedBy is an assertion with what belongs to it.
type signedBy struct {
	*ctap2.GetAssertionResponse
	secret []byte // hmac-secret: 32 or 64 bytes
}

func (t *tool) assertGet(args []string) error {
	o, err := t.parseAssertGet(args)
	if err != nil {
		return err
	}
	return t.withFiles(o.in, o.out, func(in *lines, out *output) error { return t.runAssertGet(o, in, out) })
}

func (t *tool) runAssertGet(o *assertGetOptions, in *lines, out *output) error {
	req, salt, err := t.readAssertGet(o, in)
	if err != nil {
		return err
	}
	return t.withDevice(o.device, func(d *device) error {
		all, err := d.askAssertions(o, req, salt)
		if err != nil {
			return err
		}
		text, err := assertGetText(o, req, all)
		if err != nil {
			return err
		}
		return out.write(text)
	})
}

func (t *tool) parseAssertGet(args []string) (*assertGetOptions, error) {
	o := &assertGetOptions{}
	g := getopt{
		name: "-G", options: assertGetLetters, stderr: t.Stderr, long: map[string]byte{"--credential-id": optionCredentialID},
	}
	if t.Old {
		g.options, g.long = oldAssertGetLetters, nil
	}
	operands, err := g.parse(args, o.set)
	if err != nil {
		return nil, err
	}
	if len(operands) < 1 {
		return nil, errUsage
	}
	o.device = operands[0]
	return o, nil
}

func (o *assertGetOptions) set(letter byte, argument string) error {
	switch letter {
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
	case 'p':
		o.up = on
	case 'r':
		o.rk = true
	case 't':
		return o.toggles.set(argument)
	case 'u':
		o.u2f = true
	case 'v': // "historical reasons"
		o.pin, o.uv = on, on
	case 'w':
		o.raw = true
	case optionCredentialID:
		o.withID = true
	default:
		return errUsage
	}
	return nil
}

// readAssertGet reads the parameters.
func (t *tool) readAssertGet(o *assertGetOptions, in *lines) (req *ctap2.GetAssertionRequest, salt []byte, err error) {
	hash, rpID := in.bytes(), in.text()
	var id []byte
	if !o.rk {
		id = in.bytes()
	}
	if o.secret {
		salt = in.bytes()
	}
	if in.err != nil {
		return nil, nil, in.err
	}
	if o.debug {
		t.dump(clientDataName(o.raw), hash)
		fmt.Fprintf(t.Stderr, "relying party id: %s\n", rpID)
		if !o.rk {
			t.dump("credential id", id)
		}
		fmt.Fprintf(t.Stderr, "up=%s\nuv=%s\npin=%s\n", o.up, o.uv, o.pin)
	}
	if o.secret && len(salt) != 32 && len(salt) != 64 {
		return nil, nil, t.failed("fido_assert_set_hmac_salt", codeInvalidArgument)
	}
	req = &ctap2.GetAssertionRequest{
		RPID:           rpID,
		ClientDataHash: hashed(hash, o.raw),
		Extensions:     ctap2.GetAssertionExtensions{LargeBlobKey: o.largeBlob},
		Options:        ctap2.GetAssertionOptions{UserPresence: o.up.pointer()},
	}
	if !o.rk {
		req.AllowList = []ctap2.CredentialDescriptor{{ID: id, Type: ctap2.PublicKeyType}}
	}
	return req, salt, nil
}

// askAssertions gets all assertions, with the PIN if the command line wants that.
func (d *device) askAssertions(o *assertGetOptions, req *ctap2.GetAssertionRequest, salt []byte) ([]signedBy, error) {
	if o.u2f {
		d.forceU2F()
	}
	var pin []byte
	if o.pin == on {
		var err error
		if pin, err = d.askCheckedPIN(d.path); err != nil {
			return nil, err
		}
		defer clear(pin)
	}
	all, err := d.getAssertions(o, req, salt, pin)
	return all, d.failed("fido_dev_get_assert", err)
}

func (d *device) getAssertions(
	o *assertGetOptions, req *ctap2.GetAssertionRequest, salt, pin []byte,
) ([]signedBy, error) {
	if d.info == nil {
		resp, err := d.authenticate(o, req, pin)
		return []signedBy{{GetAssertionResponse: resp}}, err
	}
	withToken := pin != nil || o.uv == on && d.option("pinUvAuthToken")
	var secret *ctap2.SharedSecret
	if withToken || o.secret {
		var err error
		if secret, err = d.agree(); err != nil {
			return nil, err
		}
		defer secret.Clear()
	}
	if o.secret {
		input, err := ctap2.NewHMACSecretInput(secret, salt)
		if err != nil {
			return nil, codeInternal
		}
		req.Extensions.HMACSecret = input
	}
	req.Options.UserVerification = o.uv == on && !withToken
	if withToken {
		token, err := d.tokenFor(secret, pin, ctap2.PermissionGetAssertion, req.RPID)
		if err != nil {
			return nil, err
		}
		defer token.Clear()
		req.PINUVAuthParam, req.PINUVAuthProtocol = token.Authenticate(req.ClientDataHash), token.Protocol()
	}
	return d.sign(req, secret)
}

// sign sends the request and collects all that the key signs.
func (d *device) sign(req *ctap2.GetAssertionRequest, secret *ctap2.SharedSecret) ([]signedBy, error) {
	resp, err := d.ctap2.GetAssertion(d.ctx, req)
	if err != nil {
		return nil, err
	}
	count := max(resp.NumberOfCredentials, 1)
	if count > maxAssertions {
		return nil, codeRXInvalidCBOR
	}
	all := make([]signedBy, 0, 1)
	for {
		a, err := checkAssertion(req, resp, secret)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
		if uint64(len(all)) == count {
			return all, nil
		}
		if resp, err = d.ctap2.GetNextAssertion(d.ctx); err != nil {
			return nil, err
		}
	}
}

// checkAssertion checks whose assertion it is, and decrypts the secret.
func checkAssertion(
	req *ctap2.GetAssertionRequest, resp *ctap2.GetAssertionResponse, secret *ctap2.SharedSecret,
) (signedBy, error) {
	data, err := ctap2.ParseAuthenticatorData(resp.AuthData)
	if err != nil || data.RPIDHash != sha256.Sum256([]byte(req.RPID)) {
		return signedBy{}, codeRXInvalidCBOR
	}
	if resp.Credential == nil && len(req.AllowList) == 1 {
		resp.Credential = &req.AllowList[0]
	}
	a := signedBy{GetAssertionResponse: resp}
	var outputs ctap2.GetAssertionOutputs
	if req.Extensions.HMACSecret == nil || data.Extensions == nil {
		return a, nil
	}
	if err := ctapcbor.Unmarshal(data.Extensions, &outputs); err != nil {
		return signedBy{}, codeRXInvalidCBOR
	}
	if outputs.HMACSecret == nil {
		return a, nil
	}
	if a.secret, err = secret.Decrypt(outputs.HMACSecret); err != nil || len(a.secret) != 32 && len(a.secret) != 64 {
		return signedBy{}, codeInternal
	}
	return a, nil
}

// assertGetText is what the tool writes of assertions, one behind the other.
func assertGetText(o *assertGetOptions, req *ctap2.GetAssertionRequest, all []signedBy) ([]byte, error) {
	if !o.rk && len(all) != 1 {
		return nil, fmt.Errorf("fido_assert_count: %d", len(all))
	}
	text := new(bytes.Buffer)
	for _, a := range all {
		fmt.Fprintf(text, "%s\n%s\n%s\n%s\n",
			encodeBase64(req.ClientDataHash), req.RPID, byteStringText(a.AuthData), encodeBase64(a.Signature))
		for _, value := range o.extras(a) {
			if len(value) == 0 {
				return nil, errOutput
			}
			fmt.Fprintln(text, encodeBase64(value))
		}
	}
	return text.Bytes(), nil
}

// extras returns what the command line wants to see of an assertion besides. None may be empty.
func (o *assertGetOptions) extras(a signedBy) (values [][]byte) {
	if o.rk {
		var id []byte
		if a.User != nil {
			id = a.User.ID
		}
		values = append(values, id)
	}
	if o.secret {
		values = append(values, a.secret)
	}
	if o.largeBlob {
		values = append(values, a.LargeBlobKey)
	}
	if o.withID {
		var id []byte
		if a.Credential != nil {
			id = a.Credential.ID
		}
		values = append(values, id)
	}
	return values
}
