package webauthn

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"
)

// VerifyTrust follows the TrustPath to one of the anchors: certificates of the FIDO Metadata Service or of makers that
// the relying party trusts for this Format and AAGUID. An anchor may be the first certificate of the TrustPath itself.
// All certificates must be valid at the time given, where zero stands for now. Of a compound statement each part with
// certificates must lead to an anchor, and one part must have some.
//
// Once it succeeds, Chain has the way to the anchor, and UncheckedTrustAnchor is gone from NotChecked. It is an error
// when there is nothing to follow, as with self attestation.
func (a *Attestation) VerifyTrust(anchors *x509.CertPool, at time.Time) error {
	if err := a.trust(anchors, at); err != nil {
		return fmt.Errorf("webauthn: trust: %w", err)
	}
	return nil
}

func (a *Attestation) trust(anchors *x509.CertPool, at time.Time) error {
	if anchors == nil {
		return errors.New("no anchors") // which crypto/x509 would take for those of the system
	}
	if a.Type == AttestationCompound {
		return a.trustParts(anchors, at)
	}
	return a.trustPath(anchors, at)
}

func (a *Attestation) trustPath(anchors *x509.CertPool, at time.Time) error {
	if len(a.TrustPath) == 0 {
		return fmt.Errorf("no certificates in an attestation of type %v", a.Type)
	}
	intermediates := x509.NewCertPool()
	for _, cert := range a.TrustPath[1:] {
		intermediates.AddCert(cert)
	}
	chains, err := a.leaf().Verify(x509.VerifyOptions{
		Roots:         anchors,
		Intermediates: intermediates,
		CurrentTime:   at,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return err
	}
	a.Chain = chains[0]
	a.NotChecked = slices.DeleteFunc(a.NotChecked, func(u Unchecked) bool { return u == UncheckedTrustAnchor })
	return nil
}

func (a *Attestation) trustParts(anchors *x509.CertPool, at time.Time) error {
	trusted := 0
	for i, part := range a.Parts {
		if len(part.TrustPath) == 0 {
			continue
		}
		if err := part.trustPath(anchors, at); err != nil {
			return fmt.Errorf("part %d: %w", i, err)
		}
		trusted++
	}
	if trusted == 0 {
		return errors.New("no certificates in any part")
	}
	return nil
}

// hasCertificates says whether there is something for VerifyTrust to follow.
func (a *Attestation) hasCertificates() bool {
	return len(a.TrustPath) > 0 || slices.ContainsFunc(a.Parts, (*Attestation).hasCertificates)
}

// leaf returns the first certificate in a form that crypto/x509 verifies: it does not know the names in the critical
// extension of TPM certificates, which verifyTPM has read.
func (a *Attestation) leaf() *x509.Certificate {
	leaf := *a.TrustPath[0]
	if a.Format == FormatTPM {
		isName := func(oid asn1.ObjectIdentifier) bool { return oid.Equal(oidSubjectAltName) }
		leaf.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(leaf.UnhandledCriticalExtensions), isName)
	}
	return &leaf
}
