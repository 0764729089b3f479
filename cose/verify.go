package cose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	_ "crypto/sha1"   // for crypto.SHA1
	_ "crypto/sha256" // for crypto.SHA256
	_ "crypto/sha512" // for crypto.SHA384 and crypto.SHA512
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
)

// ErrVerification is wrapped by the error of [Key.Verify] when the signature is not one of the message by the key.
var ErrVerification = errors.New("signature does not verify")

// Verify returns nil if and only if sig is the key's signature of message, which Verify hashes as the algorithm
// demands. The signature has the form that WebAuthn gives it (Level 3 section 6.5.5): ASN.1 DER for ECDSA, 64 bytes
// for Ed25519 and 114 for Ed448, as many bytes as the modulus for RSA, and that of FIPS 204 for ML-DSA, with an empty
// context. DER has one form for a number, so an ECDSA signature with superfluous zeros or lengths is refused, and the
// error says that this is why. A key of [ECDHESHKDF256] verifies nothing.
func (k *Key) Verify(message, sig []byte) error {
	p, err := k.fit()
	if err != nil {
		return fmt.Errorf("cose: %w", err)
	}
	if k.verify(p, message, sig) {
		return nil
	}
	if p.kty == ktyEC2 {
		if err := checkDER(sig); err != nil {
			return fmt.Errorf("cose: %v: %w: it is not minimal DER: %w", k.Algorithm, ErrVerification, err)
		}
	}
	return fmt.Errorf("cose: %v: %w", k.Algorithm, ErrVerification)
}

func (k *Key) verify(p profile, message, sig []byte) bool {
	switch pub := k.Public.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(pub, digest(p.hash, message), sig)
	case ed25519.PublicKey:
		return ed25519.Verify(pub, message, sig)
	case *rsa.PublicKey:
		return verifyRSA(p, pub, message, sig)
	}
	return p.isExternal() && schemes[k.Algorithm].Verify(k.Public, message, sig)
}

func verifyRSA(p profile, pub *rsa.PublicKey, message, sig []byte) bool {
	d := digest(p.hash, message)
	if p.pss {
		// RFC 8230, section 2: the salt is as long as the hash.
		opts := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
		return rsa.VerifyPSS(pub, p.hash, d, sig, opts) == nil
	}
	return rsa.VerifyPKCS1v15(pub, p.hash, d, sig) == nil
}

func digest(h crypto.Hash, message []byte) []byte {
	d := h.New()
	d.Write(message)
	return d.Sum(nil)
}

// checkDER says what is wrong with the form of an ECDSA signature that did not verify.
func checkDER(sig []byte) error {
	var numbers struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(sig, &numbers)
	if err == nil && len(rest) != 0 {
		return fmt.Errorf("%d bytes behind it", len(rest))
	}
	return err
}
