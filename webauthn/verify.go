package webauthn

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// The attestation statement formats that [AttestationObject.Verify] knows, by their names in the IANA registry.
const (
	FormatNone       = "none"        // WebAuthn Level 3, section 8.7
	FormatPacked     = "packed"      // section 8.2
	FormatTPM        = "tpm"         // section 8.3
	FormatAndroidKey = "android-key" // section 8.4
	FormatFIDOU2F    = "fido-u2f"    // section 8.6
	FormatApple      = "apple"       // section 8.8
	FormatCompound   = "compound"    // section 8.9

	// FormatAndroidSafetyNet is of section 8.5.
	//
	// Deprecated: Google has turned the service off. Only credentials from before then have such statements.
	FormatAndroidSafetyNet = "android-safetynet"
)

// ErrUnsupportedFormat is wrapped by the error of [AttestationObject.Verify] when it does not know the format of the
// statement, which may be good or bad then.
var ErrUnsupportedFormat = errors.New("unsupported attestation statement format")

// AttestationType says what a verified attestation statement stands on. WebAuthn Level 3, section 6.5.4. The zero
// value is none of them.
type AttestationType int

const (
	// AttestationNone is nothing: the statement is empty, and anybody could have made the credential.
	AttestationNone AttestationType = iota + 1
	// AttestationSelf is the credential's own key: its owner has it, but anybody could have made it.
	AttestationSelf
	// AttestationBasic is the key of a certificate: Basic or AttCA. Only the issuer knows which.
	AttestationBasic
	// AttestationAttCA is the key of a certificate that a certificate authority gave this one authenticator (tpm).
	AttestationAttCA
	// AttestationAnonCA is a certificate that the maker's authority made for this one credential (apple).
	AttestationAnonCA
	// AttestationCompound is several statements: see the Parts.
	AttestationCompound
	// AttestationUnknown is a statement of a format that is not known here: nothing of it was verified. Only
	// [VerifyRegistration] and the Parts of compound statements have it; [AttestationObject.Verify] returns
	// [ErrUnsupportedFormat] instead.
	AttestationUnknown
)

var attestationTypeNames = map[AttestationType]string{
	AttestationNone:     "none",
	AttestationSelf:     "self",
	AttestationBasic:    "basic",
	AttestationAttCA:    "attca",
	AttestationAnonCA:   "anonca",
	AttestationCompound: "compound",
	AttestationUnknown:  "unknown",
}

// String returns the constant's name in lower case, without the prefix, as in "basic".
func (t AttestationType) String() string {
	if name, ok := attestationTypeNames[t]; ok {
		return name
	}
	return fmt.Sprintf("AttestationType(%d)", int(t))
}

// Unchecked names something that the verification of a statement leaves open, in words that a person can read.
type Unchecked string

const (
	// UncheckedTrustAnchor says that nobody followed the TrustPath to a certificate that the relying party trusts.
	// Anybody can make such certificates.
	UncheckedTrustAnchor Unchecked = "trust anchor"
	// UncheckedRevocation says that nobody asked whether a certificate of the TrustPath was revoked, or whether the
	// FIDO Metadata Service has a warning about the model.
	UncheckedRevocation Unchecked = "revocation"
	// UncheckedHardware says that the key's certificate does not claim that the key was made in secure hardware, for
	// signing: the format demands no such claim, or leaves it to the relying party to insist (android-key).
	UncheckedHardware Unchecked = "hardware"
	// UncheckedManufacturer says that the TPM's manufacturer was not looked up in the list of the TCG.
	UncheckedManufacturer Unchecked = "manufacturer"
	// UncheckedTime says that the statement's time stamp was not compared with the present (android-safetynet).
	UncheckedTime Unchecked = "time"
	// UncheckedStatement says that nothing was verified, for the format is not known.
	UncheckedStatement Unchecked = "statement"
)

// Attestation is the result of verifying an attestation statement.
type Attestation struct {
	Format string
	Type   AttestationType

	// AAGUID is the model, as trustworthy as Type and TrustPath make it. It is zeros for fido-u2f, which does not sign
	// it, and for AttestationCompound, where each of the Parts has its own.
	AAGUID ctap2.AAGUID

	// TrustPath is the chain of certificates as the authenticator sent it, whose first one signed the statement, for
	// AttestationBasic, AttestationAttCA and AttestationAnonCA. It proves nothing before VerifyTrust.
	TrustPath []*x509.Certificate
	Chain     []*x509.Certificate // from the first of TrustPath to a trust anchor, once VerifyTrust has found one

	NotChecked []Unchecked // what else a cautious relying party would want to know

	Statement ctapcbor.RawMessage // as it came, for AttestationUnknown
	Parts     []*Attestation      // for AttestationCompound, at least two
}

// Verify checks the statement over the authenticator data and the [ClientDataHash] of 32 bytes, by the procedure of
// its format (WebAuthn Level 3, section 8), with all that is required of certificates. Of a compound statement every
// part of a known format must be good, and one must be known. Any error means that nothing was verified. It wraps
// [ErrUnsupportedFormat] for other formats, [cose.ErrUnsupportedAlgorithm] for unknown algorithms and
// [cose.ErrVerification] for a wrong signature.
//
// No error does not mean that the authenticator is genuine: see [Attestation] and [Attestation.VerifyTrust]. Nor does
// it check the rest of what a relying party has to, such as the RP ID hash and the flags: see [VerifyRegistration].
func (o *AttestationObject) Verify(clientDataHash []byte) (*Attestation, error) {
	a, err := o.verify(clientDataHash)
	if err != nil {
		return nil, fmt.Errorf("webauthn: attestation: %w", err)
	}
	return a, nil
}

func (o *AttestationObject) verify(clientDataHash []byte) (*Attestation, error) {
	d, err := ParseAuthenticatorData(o.AuthData)
	if err != nil {
		return nil, err
	}
	return o.verifyParsed(d, clientDataHash)
}

// verifyParsed is verify for those who have parsed the authenticator data.
func (o *AttestationObject) verifyParsed(d *AuthenticatorData, clientDataHash []byte) (*Attestation, error) {
	if d.Credential == nil {
		return nil, errors.New("no credential in the authenticator data")
	}
	message, err := signedMessage(o.AuthData, clientDataHash)
	if err != nil {
		return nil, err
	}
	return o.statement(d, clientDataHash, message).verify()
}

func (o *AttestationObject) statement(d *AuthenticatorData, clientDataHash, message []byte) *statement {
	return &statement{
		format:         o.Format,
		raw:            o.Statement,
		rpIDHash:       d.RPIDHash,
		credential:     d.Credential,
		clientDataHash: clientDataHash,
		message:        message,
	}
}

// A statement is an attestation statement with all that is known when it is verified.
type statement struct {
	format         string
	raw            ctapcbor.RawMessage // nil stands for an empty map
	rpIDHash       [32]byte
	credential     *ctap2.AttestedCredential
	clientDataHash []byte // 32 bytes
	message        []byte // authenticator data and client data hash, which most formats sign
}

func (s *statement) verify() (*Attestation, error) {
	var verify func(*statement) (*Attestation, error)
	switch s.format {
	case FormatNone:
		verify = verifyNone
	case FormatPacked:
		verify = verifyPacked
	case FormatTPM:
		verify = verifyTPM
	case FormatAndroidKey:
		verify = verifyAndroidKey
	case FormatAndroidSafetyNet:
		verify = verifySafetyNet
	case FormatFIDOU2F:
		verify = verifyFIDOU2F
	case FormatApple:
		verify = verifyApple
	case FormatCompound:
		verify = verifyCompound
	default:
		return nil, fmt.Errorf("%w %q", ErrUnsupportedFormat, s.format)
	}
	a, err := verify(s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.format, err)
	}
	return a, nil
}

// result returns the outcome of a format that needs no certificate.
func (s *statement) result(t AttestationType) *Attestation {
	return &Attestation{Format: s.format, Type: t, AAGUID: s.credential.AAGUID}
}

// certified returns the outcome of a format that stands on certificates.
func (s *statement) certified(t AttestationType, path []*x509.Certificate, open ...Unchecked) *Attestation {
	a := s.result(t)
	a.TrustPath = path
	a.NotChecked = append([]Unchecked{UncheckedTrustAnchor, UncheckedRevocation}, open...)
	return a
}

// unknown returns the outcome for a format that is not known.
func (s *statement) unknown() *Attestation {
	a := s.result(AttestationUnknown)
	a.Statement = slices.Clone(s.raw)
	a.NotChecked = []Unchecked{UncheckedStatement}
	return a
}

func verifyNone(s *statement) (*Attestation, error) {
	if s.raw != nil {
		if _, err := s.members(nil); err != nil {
			return nil, err
		}
	}
	return s.result(AttestationNone), nil
}
