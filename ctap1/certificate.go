package ctap1

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
)

// X509 parses the attestation certificate. Some of Yubico's first keys have one whose signature claims to end in the
// middle of a byte, which no strict parser accepts; that is put right first, and then the Raw of the result is not
// equal to the Certificate. A relying party is better served with Raw.
func (r *Registration) X509() (*x509.Certificate, error) {
	cert, err := x509.ParseCertificate(repairCertificate(r.Certificate))
	if err != nil {
		return nil, fmt.Errorf("ctap1: attestation certificate: %w", err)
	}
	return cert, nil
}

// repairCertificate sets the count of unused bits of the signature to zero, which it is in every valid certificate:
// signatures are whole bytes. What is not a certificate stays as it is.
func repairCertificate(der []byte) []byte {
	var cert struct{ TBS, Algorithm, Signature asn1.RawValue }
	if _, err := asn1.Unmarshal(der, &cert); err != nil {
		return der
	}
	bits := cert.Signature.Bytes // the count, and then the signature
	if cert.Signature.Tag != asn1.TagBitString || len(bits) == 0 || !bytes.HasSuffix(der, bits) {
		return der
	}
	repaired := bytes.Clone(der)
	repaired[len(der)-len(bits)] = 0
	return repaired
}
