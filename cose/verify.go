package cose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	_ "crypto/sha256" // for crypto.SHA256
	_ "crypto/sha512" // for crypto.SHA384 and crypto.SHA512
	"errors"
	"fmt"
)

// ErrVerification is wrapped by the error of [Key.Verify] when the signature is not one of the message by the key.
var ErrVerification = errors.New("signature does not verify")

// Verify returns nil if and only if sig is the key's signature of message, which Verify hashes as the algorithm
// demands. The signature has the form that WebAuthn gives it (Level 3 section 6.5.5): ASN.1 DER for ECDSA, 64 bytes
// for Ed25519, and as many bytes as the modulus for RSA. A key of [ECDHESHKDF256] verifies nothing.
func (k *Key) Verify(message, sig []byte) error {
	p, err := k.fit()
	if err != nil {
		return fmt.Errorf("cose: %w", err)
	}
	ok := false
	switch pub := k.Public.(type) {
	case *ecdsa.PublicKey:
		ok = ecdsa.VerifyASN1(pub, digest(p.hash, message), sig)
	case ed25519.PublicKey:
		ok = ed25519.Verify(pub, message, sig)
	case *rsa.PublicKey:
		ok = rsa.VerifyPKCS1v15(pub, p.hash, digest(p.hash, message), sig) == nil
	}
	if !ok {
		return fmt.Errorf("cose: %v: %w", k.Algorithm, ErrVerification)
	}
	return nil
}

func digest(h crypto.Hash, message []byte) []byte {
	d := h.New()
	d.Write(message)
	return d.Sum(nil)
}
