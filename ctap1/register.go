package ctap1

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/keyfob-go/keyfob/cose"
)

// Registration is the answer to [Client.Register]: U2F Raw Message Formats, section 4.3. Its certificate and
// signature are the x5c and sig of a fido-u2f attestation statement (WebAuthn Level 3 section 8.6).
type Registration struct {
	PublicKey   *cose.Key // ES256
	KeyHandle   []byte    // 1 to 255 bytes
	Certificate []byte    // DER, as the key sent it; see [Registration.X509]
	Signature   []byte    // DER, by the certificate's key: of 0x00, application, challenge, key handle and public key
}

// Register makes a key pair for the application and returns it with an attestation over the challenge. The signature
// of the attestation is not verified.
//
// It wants a touch, for which it waits until ctx is done, and then returns [context.Cause], or for five minutes, and
// then returns [ErrConditionsNotSatisfied].
func (c *Client) Register(ctx context.Context, challenge, application [32]byte) (*Registration, error) {
	data, err := c.untilTouched(ctx, registerCommand(challenge, application))
	if err != nil {
		return nil, fmt.Errorf("ctap1: register: %w", err)
	}
	r, err := parseRegistration(data)
	if err != nil {
		return nil, fmt.Errorf("ctap1: register: %w: %w", ErrInvalidResponse, err)
	}
	return r, nil
}

const (
	registrationReserved = 0x05 // the first byte of the answer
	pointSize            = 65   // an uncompressed point on P-256
)

// parseRegistration decodes b and keeps parts of it.
func parseRegistration(b []byte) (*Registration, error) {
	const headerSize = 1 + pointSize + 1
	if len(b) < headerSize {
		return nil, fmt.Errorf("only %d bytes", len(b))
	}
	if b[0] != registrationReserved {
		return nil, fmt.Errorf("begins with 0x%02x instead of 0x%02x", b[0], registrationReserved)
	}
	key, err := parsePoint(b[1 : 1+pointSize])
	if err != nil {
		return nil, err
	}
	size, rest := int(b[headerSize-1]), b[headerSize:]
	if size == 0 || size > len(rest) {
		return nil, fmt.Errorf("key handle of %d bytes before the last %d", size, len(rest))
	}
	certificate, signature, err := cutCertificate(rest[size:])
	if err != nil {
		return nil, err
	}
	if err := checkSignature(signature); err != nil {
		return nil, err
	}
	return &Registration{key, slices.Clip(rest[:size]), certificate, signature}, nil
}

func parsePoint(b []byte) (*cose.Key, error) {
	pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), b)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	return cose.NewKey(cose.ES256, pub)
}

// cutCertificate splits b after its first DER element, whose own header is all that says where the certificate ends.
func cutCertificate(b []byte) (certificate, rest []byte, err error) {
	var der asn1.RawValue
	rest, err = asn1.Unmarshal(b, &der)
	if err != nil {
		return nil, nil, fmt.Errorf("certificate: %w", err)
	}
	if der.Class != asn1.ClassUniversal || der.Tag != asn1.TagSequence || !der.IsCompound {
		return nil, nil, fmt.Errorf("certificate is not an ASN.1 sequence but class %d, tag %d", der.Class, der.Tag)
	}
	return slices.Clip(der.FullBytes), rest, nil
}

// AuthenticatorData returns the authenticator data of the registration, as CTAP 2.3 section 10.2 makes it: flags UP
// and AT, sign count 0, an AAGUID of zeros. The error is nil for a Registration that came from [Client.Register].
func (r *Registration) AuthenticatorData(application [32]byte) ([]byte, error) {
	const flags = 0x41 // user present, attested credential data
	var signCount [4]byte
	var aaguid [16]byte
	key, err := r.PublicKey.MarshalCBOR()
	if err != nil {
		return nil, fmt.Errorf("ctap1: %w", err)
	}
	idSize := binary.BigEndian.AppendUint16(nil, uint16(len(r.KeyHandle)))
	return slices.Concat(application[:], []byte{flags}, signCount[:], aaguid[:], idSize, r.KeyHandle, key), nil
}
