package virtual

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap1"
	"github.com/keyfob-go/keyfob/ctap2"
)

const u2fVersion = "U2F_V2"

// The instructions of U2F: Raw Message Formats, section 3.1.1.
const (
	insRegister     = 0x01
	insAuthenticate = 0x02
	insVersion      = 0x03
)

// Status words that package ctap1 has no names for, since they mean nothing special to a platform.
const (
	statusOK            ctap1.StatusWord = 0x9000
	errNotAllowed       ctap1.StatusWord = 0x6986 // SW_COMMAND_NOT_ALLOWED
	errWrongParameter   ctap1.StatusWord = 0x6a86 // SW_INCORRECT_P1P2
	errInternal         ctap1.StatusWord = 0x6f00 // SW_UNKNOWN
	u2fReserved                          = 0x05   // begins the answer to a registration
	u2fSignatureVersion                  = 0x00   // begins what the attestation signs
)

// runMsg returns the response to one U2F command: never less than a status word, whatever the request.
func (a *Authenticator) runMsg(request []byte) []byte {
	data, err := a.dispatchU2F(request)
	sw := statusOK
	if err != nil {
		data, sw = nil, errInternal
		if refusal, ok := errors.AsType[ctap1.StatusWord](err); ok {
			sw = refusal
		}
	}
	return binary.BigEndian.AppendUint16(data, uint16(sw))
}

func (a *Authenticator) dispatchU2F(request []byte) ([]byte, error) {
	cmd, err := parseAPDU(request)
	switch {
	case err != nil:
		return nil, err
	case !a.hasU2F():
		return nil, errNotAllowed
	}
	switch cmd.ins {
	case insRegister:
		return a.registerU2F(cmd)
	case insAuthenticate:
		return a.authenticateU2F(cmd)
	case insVersion:
		return versionU2F(cmd)
	}
	return nil, ctap1.ErrInstructionNotSupported
}

func versionU2F(cmd apdu) ([]byte, error) {
	if len(cmd.data) != 0 {
		return nil, ctap1.ErrWrongLength
	}
	return []byte(u2fVersion), nil
}

// registerU2F is section 4 of the Raw Message Formats. P1 is ignored: platforms have put many things there.
func (a *Authenticator) registerU2F(cmd apdu) ([]byte, error) {
	const size = 2 * sha256.Size
	if len(cmd.data) != size {
		return nil, ctap1.ErrWrongLength
	}
	if !a.isTouched(ctap2.CommandMakeCredential) {
		return nil, ctap1.ErrConditionsNotSatisfied
	}
	return a.createU2F(cmd.data[:sha256.Size], [sha256.Size]byte(cmd.data[sha256.Size:]))
}

func (a *Authenticator) createU2F(challenge []byte, application [sha256.Size]byte) ([]byte, error) {
	signer, err := newSigner(cose.ES256)
	if err != nil {
		return nil, err
	}
	private, err := marshalSigner(signer)
	if err != nil {
		return nil, err
	}
	point, err := signer.Public().(*ecdsa.PublicKey).Bytes()
	if err != nil {
		return nil, err
	}
	handle := a.state.seal(&credential{Algorithm: cose.ES256, PrivateKey: private, U2F: true}, application)
	chain := a.state.Attestation
	attester := chain.attester()
	signed := slices.Concat([]byte{u2fSignatureVersion}, application[:], challenge, handle, point)
	signature, err := attester.sign(signed)
	if err != nil {
		return nil, err
	}
	size := byte(len(handle)) // a sealed ES256 key is far shorter than 255 bytes
	return slices.Concat([]byte{u2fReserved}, point, []byte{size}, handle, chain.Certificate, signature), nil
}

// authenticateU2F is section 5 of the Raw Message Formats.
func (a *Authenticator) authenticateU2F(cmd apdu) ([]byte, error) {
	const headSize = 2*sha256.Size + 1
	if len(cmd.data) < headSize || len(cmd.data) != headSize+int(cmd.data[headSize-1]) {
		return nil, ctap1.ErrWrongLength
	}
	challenge, application := cmd.data[:sha256.Size], [sha256.Size]byte(cmd.data[sha256.Size:])
	held := a.findU2F(cmd.data[headSize:], application)
	if held == nil {
		return nil, ctap1.ErrWrongData
	}
	switch ctap1.Control(cmd.p1) {
	case ctap1.CheckOnly:
		return nil, ctap1.ErrConditionsNotSatisfied
	case ctap1.EnforceUserPresence:
		if !a.isTouched(ctap2.CommandGetAssertion) {
			return nil, ctap1.ErrConditionsNotSatisfied
		}
		return a.assertU2F(held, challenge, application, true)
	case ctap1.DontEnforceUserPresence:
		return a.assertU2F(held, challenge, application, false)
	}
	return nil, errWrongParameter
}

// findU2F returns what U2F can use: it knows no other algorithm, and cannot verify the user.
func (a *Authenticator) findU2F(handle []byte, application [sha256.Size]byte) *credential {
	held := a.state.find(handle, application)
	if held == nil || held.Algorithm != cose.ES256 || held.CredProtect == ctap2.CredProtectUVRequired {
		return nil
	}
	return held
}

func (a *Authenticator) assertU2F(
	c *credential, challenge []byte, application [sha256.Size]byte, present bool,
) ([]byte, error) {
	if err := a.update(func(s *state) { s.SignCount++ }); err != nil {
		return nil, err
	}
	answer := []byte{0}
	if present {
		answer[0] = byte(ctap2.FlagUP)
	}
	answer = binary.BigEndian.AppendUint32(answer, a.state.SignCount)
	signature, err := c.sign(slices.Concat(application[:], answer, challenge))
	return append(answer, signature...), err
}
