package authenticator

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/keyfob-go/keyfob/ctap2"
)

const (
	saltSize = 32
	maxSalts = 2
)

func checkSalts(salts [][]byte) error {
	if len(salts) > maxSalts {
		return fmt.Errorf("%w: %d salts", ErrInvalidOptions, len(salts))
	}
	for _, salt := range salts {
		if len(salt) != saltSize {
			return fmt.Errorf("%w: salt of %d bytes", ErrInvalidOptions, len(salt))
		}
	}
	return nil
}

// withSecret runs a command that needs the secret shared with the key, and once more with a new secret if the key does
// not know an old one any more: see agreement. A secret that did not work is forgotten.
func (a *Authenticator) withSecret(ctx context.Context, command func(*ctap2.SharedSecret) error) error {
	old := a.agreement.secret != nil && !a.agreement.fresh
	err := a.underSecret(ctx, command)
	if old && errors.Is(err, ctap2.ErrPINAuthInvalid) {
		return a.underSecret(ctx, command)
	}
	return err
}

func (a *Authenticator) underSecret(ctx context.Context, command func(*ctap2.SharedSecret) error) error {
	secret, err := a.keptSecret(ctx)
	if err != nil {
		return err
	}
	if err := command(secret); err != nil {
		a.agreement.forget()
		return err
	}
	return nil
}

// hmacSecretInput encrypts the salts.
func hmacSecretInput(secret *ctap2.SharedSecret, salts [][]byte) (*ctap2.HMACSecretInput, error) {
	joined := bytes.Join(salts, nil)
	defer clear(joined)
	return ctap2.NewHMACSecretInput(secret, joined)
}

// hmacSecrets decrypts an output of hmac-secret or hmac-secret-mc: so many secrets of 32 bytes. There are none without a
// shared secret.
func hmacSecrets(secret *ctap2.SharedSecret, output []byte, count int) ([][]byte, error) {
	if secret == nil {
		return nil, nil
	}
	plain, err := secret.Decrypt(output)
	if err != nil || len(plain) != count*saltSize {
		clear(plain)
		return nil, fmt.Errorf("%w: derived secrets missing or of the wrong size", ErrInvalidResponse)
	}
	secrets := make([][]byte, count)
	for i := range secrets {
		secrets[i] = plain[i*saltSize : (i+1)*saltSize : (i+1)*saltSize]
	}
	return secrets, nil
}
