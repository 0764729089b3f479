package attest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"errors"

	"github.com/keyfob-go/keyfob/ctap2"
)

// tpm certifies the credential's key as TPM2_Certify does.
func (a *Authority) tpm(r *Registration) (any, error) {
	d, err := r.credential()
	if err != nil {
		return nil, err
	}
	hash, ok := r.attester().Hash()
	if !ok {
		return nil, errors.New("attest: TPMs sign hashes")
	}
	pubArea, err := pubArea(r.Key.Public())
	if err != nil {
		return nil, err
	}
	pubArea = edit(pubArea, r.PubArea)
	certInfo := edit(certInfo(digest(hash, r.message()), tpmName(pubArea)), r.CertInfo)
	key, err := a.key(r.attester())
	if err != nil {
		return nil, err
	}
	sig, err := Sign(r.attester(), key, certInfo)
	if err != nil {
		return nil, err
	}
	x5c, err := a.aik(r, d.Credential.AAGUID, key.Public())
	return map[string]any{
		"ver": "2.0", "alg": r.attester(), "x5c": x5c, "sig": sig, "certInfo": certInfo, "pubArea": pubArea,
	}, err
}

func edit(b []byte, change func([]byte) []byte) []byte {
	if change == nil {
		return b
	}
	return change(b)
}

// aik makes the certificate of an attestation identity key, WebAuthn Level 3 section 8.3.1.
func (a *Authority) aik(r *Registration, aaguid ctap2.AAGUID, pub crypto.PublicKey) ([]any, error) {
	name, err := TPMNameExtension("id:494E5443", "keyfob test TPM", "id:00000001")
	if err != nil {
		return nil, err
	}
	template := template()
	template.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{2, 23, 133, 8, 3}}
	template.ExtraExtensions = []pkix.Extension{name, AAGUIDExtension(aaguid)}
	return a.leaf(r, template, pub)
}

// TPMNameExtension returns the critical subject alternative name of a TPM, with its three attributes in one set.
func TPMNameExtension(manufacturer, model, version string) (pkix.Extension, error) {
	attribute := func(last int, value string) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 23, 133, 2, last}, Value: value}
	}
	name, err1 := asn1.Marshal(pkix.RDNSequence{{
		attribute(1, manufacturer), attribute(2, model), attribute(3, version),
	}})
	value, err2 := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: name}})
	id := asn1.ObjectIdentifier{2, 5, 29, 17}
	return pkix.Extension{Id: id, Critical: true, Value: value}, errors.Join(err1, err2)
}

// Constants of the Trusted Platform Module Library 2.0, part 2.
const (
	algRSA    = 0x0001
	algSHA256 = 0x000b
	algNull   = 0x0010
	algECC    = 0x0023
)

// pubArea returns the TPMT_PUBLIC of a key that signs.
func pubArea(pub crypto.PublicKey) ([]byte, error) {
	const signEncrypt = 0x00040000
	header := func(alg uint16) []byte {
		b := binary.BigEndian.AppendUint16(nil, alg)
		b = binary.BigEndian.AppendUint16(b, algSHA256)
		b = binary.BigEndian.AppendUint32(b, signEncrypt)
		b = sized(b, nil)                             // authPolicy
		b = binary.BigEndian.AppendUint16(b, algNull) // symmetric
		return binary.BigEndian.AppendUint16(b, algNull)
	}
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		b := binary.BigEndian.AppendUint16(header(algRSA), uint16(pub.N.BitLen()))
		exponent := uint32(pub.E)
		if exponent == 65537 {
			exponent = 0 // the default
		}
		return sized(binary.BigEndian.AppendUint32(b, exponent), pub.N.Bytes()), nil
	case *ecdsa.PublicKey:
		id := map[elliptic.Curve]uint16{elliptic.P256(): 3, elliptic.P384(): 4, elliptic.P521(): 5}[pub.Curve]
		b := binary.BigEndian.AppendUint16(header(algECC), id)
		b = binary.BigEndian.AppendUint16(b, algNull) // kdf
		point, err := pub.Bytes()
		size := len(point) / 2
		return sized(sized(b, point[1:1+size]), point[1+size:]), err
	}
	return nil, errors.New("attest: TPMs have RSA and ECDSA keys")
}

// sized appends a TPM2B structure.
func sized(b, content []byte) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(content))), content...)
}

// tpmName returns the name of a key by the hash in its public area, if that is SHA-256.
func tpmName(pubArea []byte) []byte {
	return append([]byte{0, algSHA256}, digest(crypto.SHA256, pubArea)...)
}

// certInfo returns the TPMS_ATTEST about a key.
func certInfo(extraData, name []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, 0xff544347) // TPM_GENERATED_VALUE
	b = binary.BigEndian.AppendUint16(b, 0x8017)        // TPM_ST_ATTEST_CERTIFY
	b = sized(b, append([]byte{0, algSHA256}, make([]byte, 32)...))
	b = sized(b, extraData)
	b = append(b, make([]byte, 8+4+4+1)...) // clockInfo
	b = append(b, make([]byte, 8)...)       // firmwareVersion
	b = sized(b, name)
	return sized(b, name) // qualifiedName
}
