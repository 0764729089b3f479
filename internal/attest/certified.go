package attest

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
)

// packed meets WebAuthn Level 3, section 8.2.1.
func (a *Authority) packed(r *Registration) (any, error) {
	d, err := r.credential()
	if err != nil {
		return nil, err
	}
	template := template()
	template.Subject = pkix.Name{
		Country:            []string{"SE"},
		Organization:       []string{"keyfob"},
		OrganizationalUnit: []string{"Authenticator Attestation"},
		CommonName:         "keyfob test authenticator",
	}
	template.ExtraExtensions = []pkix.Extension{AAGUIDExtension(d.Credential.AAGUID)}
	return a.signed(r, template)
}

// signed returns a statement by an attestation key with a certificate.
func (a *Authority) signed(r *Registration, template *x509.Certificate) (any, error) {
	key, err := a.key(r.attester())
	if err != nil {
		return nil, err
	}
	sig, err := Sign(r.attester(), key, r.message())
	if err != nil {
		return nil, err
	}
	x5c, err := a.leaf(r, template, key.Public())
	return map[string]any{"alg": r.attester(), "sig": sig, "x5c": x5c}, err
}

// AAGUIDExtension returns the extension id-fido-gen-ce-aaguid.
func AAGUIDExtension(aaguid ctap2.AAGUID) pkix.Extension {
	const octetString = 0x04
	return pkix.Extension{
		Id:    asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 4},
		Value: append([]byte{octetString, byte(len(aaguid))}, aaguid[:]...),
	}
}

// fidoU2F has one certificate only, which the root issues.
func (a *Authority) fidoU2F(r *Registration) (any, error) {
	d, err := r.credential()
	if err != nil {
		return nil, err
	}
	pub, ok := r.Key.Public().(*ecdsa.PublicKey)
	if !ok {
		return nil, errors.New("attest: fido-u2f is for keys on P-256")
	}
	point, err := pub.Bytes()
	if err != nil {
		return nil, err
	}
	key, err := a.key(cose.ES256)
	if err != nil {
		return nil, err
	}
	sig, err := Sign(cose.ES256, key, slices.Concat([]byte{0}, d.RPIDHash[:], r.ClientDataHash, d.Credential.ID, point))
	if err != nil {
		return nil, err
	}
	template := template()
	template.Subject = pkix.Name{CommonName: "keyfob test U2F key"}
	der, err := a.root.certify(r, template, key.Public())
	return map[string]any{"sig": sig, "x5c": []any{der}}, err
}

// androidKey has the credential's own key certified, with a description of how it is kept.
func (a *Authority) androidKey(r *Registration) (any, error) {
	sig, err := Sign(r.Algorithm, r.Key, r.message())
	if err != nil {
		return nil, err
	}
	extension, err := KeyDescription(r.ClientDataHash, AuthorizationList{}, AuthorizationList{Purpose: []int{2}})
	if err != nil {
		return nil, err
	}
	template := template()
	template.Subject = pkix.Name{CommonName: "Android Keystore Key"}
	template.ExtraExtensions = []pkix.Extension{extension}
	x5c, err := a.leaf(r, template, r.Key.Public())
	return map[string]any{"alg": r.Algorithm, "sig": sig, "x5c": x5c}, err
}

// AuthorizationList is the part of Android's structure of that name that matters to WebAuthn.
type AuthorizationList struct {
	Purpose         []int         // 2 is signing; nil leaves out the origin as well
	AllApplications asn1.RawValue // left out unless FullBytes is set
	Origin          int           // 0 is generated
}

// KeyDescription returns the extension of an Android key that is kept in a trusted execution environment.
func KeyDescription(challenge []byte, software, hardware AuthorizationList) (pkix.Extension, error) {
	softwareDER, err1 := software.marshal()
	hardwareDER, err2 := hardware.marshal()
	value, err3 := asn1.Marshal(struct {
		AttestationVersion       int
		AttestationSecurityLevel asn1.Enumerated
		KeyMintVersion           int
		KeyMintSecurityLevel     asn1.Enumerated
		AttestationChallenge     []byte
		UniqueID                 []byte
		SoftwareEnforced         asn1.RawValue
		HardwareEnforced         asn1.RawValue
	}{300, 1, 300, 1, challenge, []byte{}, asn1.RawValue{FullBytes: softwareDER}, asn1.RawValue{FullBytes: hardwareDER}})
	id := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 1, 17}
	return pkix.Extension{Id: id, Value: value}, errors.Join(err1, err2, err3)
}

func (l AuthorizationList) marshal() ([]byte, error) {
	if l.Purpose == nil {
		return asn1.Marshal(struct {
			AllApplications asn1.RawValue `asn1:"optional"`
		}{l.AllApplications})
	}
	return asn1.Marshal(struct {
		Purpose         []int         `asn1:"set,explicit,tag:1"`
		AllApplications asn1.RawValue `asn1:"optional"`
		Origin          int           `asn1:"explicit,tag:702"`
	}{l.Purpose, l.AllApplications, l.Origin})
}

// apple has the credential's own key certified, with a nonce.
func (a *Authority) apple(r *Registration) (any, error) {
	nonce := sha256.Sum256(r.message())
	value, err := asn1.Marshal(struct {
		Nonce []byte `asn1:"explicit,tag:1"`
	}{nonce[:]})
	if err != nil {
		return nil, err
	}
	template := template()
	template.Subject = pkix.Name{CommonName: "keyfob test credential"}
	template.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 8, 2}, Value: value}}
	x5c, err := a.leaf(r, template, r.Key.Public())
	return map[string]any{"x5c": x5c}, err
}

// safetyNet is what Google's service answered while it existed.
func (a *Authority) safetyNet(r *Registration) (any, error) {
	key, err := a.key(cose.RS256)
	if err != nil {
		return nil, err
	}
	template := template()
	template.Subject = pkix.Name{CommonName: "attest.android.com"}
	template.DNSNames = []string{"attest.android.com"}
	x5c, err := a.leaf(r, template, key.Public())
	if err != nil {
		return nil, err
	}
	nonce := sha256.Sum256(r.message())
	payload := map[string]any{
		"nonce":           nonce[:], // encoding/json makes it standard base64, as Google does
		"timestampMs":     time.Now().UnixMilli(),
		"apkPackageName":  "com.google.android.gms",
		"ctsProfileMatch": true,
		"basicIntegrity":  true,
	}
	if r.Payload != nil {
		r.Payload(payload)
	}
	headerJSON, err1 := json.Marshal(map[string]any{"alg": "RS256", "x5c": x5c})
	payloadJSON, err2 := json.Marshal(payload)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	response := base64.RawURLEncoding.EncodeToString(headerJSON) + "." + base64.RawURLEncoding.EncodeToString(payloadJSON)
	sig, err := Sign(cose.RS256, key, []byte(response))
	response += "." + base64.RawURLEncoding.EncodeToString(sig)
	return map[string]any{"ver": "210000000", "response": []byte(response)}, err
}
