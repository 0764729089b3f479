package webauthn

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
)

// verifyAndroidKey is the procedure of WebAuthn Level 3, section 8.4.
func verifyAndroidKey(s *statement) (*Attestation, error) {
	m, err := s.members([]string{"alg", "sig", "x5c"})
	if err != nil {
		return nil, err
	}
	alg, err := m.algorithm()
	if err != nil {
		return nil, err
	}
	sig, err := m.bytes("sig")
	if err != nil {
		return nil, err
	}
	path, err := m.certificates()
	if err != nil {
		return nil, err
	}
	if err := verifyByLeaf(path[0], alg, s.message, sig); err != nil {
		return nil, err
	}
	if err := s.credentialKeyIs(path[0].PublicKey); err != nil {
		return nil, err
	}
	inHardware, err := checkKeyDescription(path[0], s.clientDataHash)
	if err != nil {
		return nil, fmt.Errorf("attestation certificate: %w", err)
	}
	if inHardware {
		return s.certified(AttestationBasic, path), nil
	}
	return s.certified(AttestationBasic, path, UncheckedHardware), nil
}

var oidKeyDescription = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 1, 17}

// A keyDescription is the extension by which Android tells how it keeps a key:
// https://source.android.com/docs/security/features/keystore/attestation#schema.
type keyDescription struct {
	AttestationVersion       int
	AttestationSecurityLevel asn1.Enumerated // 0 is software
	KeyMintVersion           int
	KeyMintSecurityLevel     asn1.Enumerated
	AttestationChallenge     []byte
	UniqueID                 []byte
	SoftwareEnforced         asn1.RawValue
	HardwareEnforced         asn1.RawValue // by the trusted execution environment, or a chip of its own
}

// checkKeyDescription reports whether the hardware itself vouches for how the key was made and what it does. The
// specification lets a relying party accept less, so whoever vouches must say nothing wrong.
func checkKeyDescription(cert *x509.Certificate, clientDataHash []byte) (inHardware bool, err error) {
	value, _ := extension(cert, oidKeyDescription)
	var d keyDescription
	if rest, err := asn1.Unmarshal(value, &d); err != nil || len(rest) != 0 {
		return false, errors.New("no description of the key")
	}
	if string(d.AttestationChallenge) != string(clientDataHash) {
		return false, errors.New("it is for another client data hash")
	}
	hardware, err := parseAuthorizations(d.HardwareEnforced)
	if err != nil {
		return false, err
	}
	software, err := parseAuthorizations(d.SoftwareEnforced)
	if err != nil {
		return false, err
	}
	if err := hardware.union(software).check(); err != nil {
		return false, err
	}
	const securityLevelSoftware = 0
	return d.AttestationSecurityLevel != securityLevelSoftware && hardware.isComplete(), nil
}

// authorizations are what an AuthorizationList says about the key, as far as WebAuthn asks. Nil means that it does not.
type authorizations struct {
	purposes        []int
	origins         []int
	allApplications bool
}

// Tags of an AuthorizationList, and values of its fields.
const (
	tagPurpose         = 1
	tagAllApplications = 600
	tagOrigin          = 702

	purposeSign     = 2
	originGenerated = 0
)

func parseAuthorizations(list asn1.RawValue) (a authorizations, err error) {
	if list.Class != asn1.ClassUniversal || list.Tag != asn1.TagSequence || !list.IsCompound {
		return a, errors.New("an authorization list is not a sequence")
	}
	for rest := list.Bytes; len(rest) > 0; {
		var field asn1.RawValue
		if rest, err = asn1.Unmarshal(rest, &field); err != nil {
			return a, fmt.Errorf("authorization list: %w", err)
		}
		if field.Class != asn1.ClassContextSpecific {
			return a, errors.New("an authorization list has a field without a tag")
		}
		if err := a.set(field); err != nil {
			return a, fmt.Errorf("authorization list: field %d: %w", field.Tag, err)
		}
	}
	return a, nil
}

func (a *authorizations) set(field asn1.RawValue) error {
	switch field.Tag {
	case tagPurpose:
		var purposes []int
		if _, err := asn1.UnmarshalWithParams(field.Bytes, &purposes, "set"); err != nil {
			return err
		}
		a.purposes = append(a.purposes, purposes...)
	case tagAllApplications:
		a.allApplications = true
	case tagOrigin:
		var origin int
		if _, err := asn1.Unmarshal(field.Bytes, &origin); err != nil {
			return err
		}
		a.origins = append(a.origins, origin)
	}
	return nil
}

func (a authorizations) union(b authorizations) authorizations {
	return authorizations{
		purposes:        slices.Concat(a.purposes, b.purposes),
		origins:         slices.Concat(a.origins, b.origins),
		allApplications: a.allApplications || b.allApplications,
	}
}

// check takes silence for consent, as the W3C's own test vector demands: [UncheckedHardware] tells of it.
func (a authorizations) check() error {
	switch {
	case a.allApplications:
		return errors.New("the key is for all applications")
	case slices.ContainsFunc(a.origins, func(n int) bool { return n != originGenerated }):
		return errors.New("the key was not generated where it is kept")
	case a.purposes != nil && !slices.Contains(a.purposes, purposeSign):
		return errors.New("the key is not for signing")
	}
	return nil
}

func (a authorizations) isComplete() bool {
	return len(a.origins) > 0 && slices.Contains(a.purposes, purposeSign)
}
