package virtual

import (
	"crypto/hmac"
	"crypto/sha256"

	"github.com/keyfob-go/keyfob/ctap2"
)

const saltSize = 32 // bytes

var isHMACSecret = isRecord(
	required(key(0x01), isMap),
	required(key(0x02), isBytes),
	required(key(0x03), isBytes),
	optional(key(0x04), isUnsigned),
)

// secrets are the decrypted inputs of extension hmac-secret.
type secrets struct {
	shared  *ctap2.SharedSecret
	salts   []byte // one or two of 32 bytes
	encrypt func(s *ctap2.SharedSecret, plaintext []byte) ([]byte, error)
}

// openSalts decrypts the salts, section 12.7. It returns nil without any.
func (a *Authenticator) openSalts(in *ctap2.HMACSecretInput) (*secrets, error) {
	if in == nil {
		return nil, nil
	}
	shared, err := a.agree(orDefault(in.PINUVAuthProtocol, ctap2.PINProtocol1), in.KeyAgreement)
	if err != nil {
		return nil, err
	}
	if !shared.Verify(in.SaltEnc, in.SaltAuth) {
		return nil, ctap2.ErrPINAuthInvalid
	}
	salts, err := shared.Decrypt(in.SaltEnc)
	if err != nil || len(salts) != saltSize && len(salts) != 2*saltSize {
		return nil, ctap2.ErrInvalidParameter
	}
	return &secrets{shared, salts, a.entropy.encrypt}, nil
}

// outputs returns the encrypted secrets of the credential that has this key, one for each salt.
func (s *secrets) outputs(credRandom []byte) ([]byte, error) {
	var plain []byte
	for salts := s.salts; len(salts) > 0; salts = salts[saltSize:] {
		mac := hmac.New(sha256.New, credRandom)
		mac.Write(salts[:saltSize])
		plain = mac.Sum(plain)
	}
	return s.encrypt(s.shared, plain)
}

// hmacSecrets returns the encrypted secrets of a new credential (hmac-secret-mc, section 12.8), nil where none were
// asked for.
func (a *Authenticator) hmacSecrets(in *ctap2.HMACSecretInput, cred *credential, user evidence) ([]byte, error) {
	s, err := a.openSalts(in)
	if s == nil || err != nil {
		return nil, err
	}
	return s.outputs(a.state.hmacSecret(cred, user.verified))
}

// hmacSecret returns the credential's CredRandomWithUV or CredRandomWithoutUV, section 12.7. Every credential has
// them, whether it was made with the extension or not.
func (s *state) hmacSecret(c *credential, verified bool) []byte {
	mac := hmac.New(sha256.New, s.derive("hmac-secret"))
	if verified {
		mac.Write([]byte{1})
	} else {
		mac.Write([]byte{0})
	}
	mac.Write(c.ID)
	return mac.Sum(nil)
}
