package authenticator

import (
	"context"
	"fmt"

	"github.com/keyfob-go/keyfob/ctap2"
)

// PersistentToken verifies the user and returns a secret with which this program can list the key's credentials from
// then on without asking anybody, until the PIN is changed or the key is reset: [Authenticator.CredentialsReadOnly].
// It also recognizes the key: [Authenticator.Identifier]. Who keeps it must keep it as safe as the list of the user's
// accounts. Keys without the option perCredMgmtRO (CTAP 2.2) give an error that wraps [ErrUnsupported].
func (a *Authenticator) PersistentToken(ctx context.Context) ([]byte, error) {
	var persistent []byte
	err := a.run(ctx, "persistent token", func(ctx context.Context) error {
		if !isOn(a.Info(), "perCredMgmtRO") || !isOn(a.Info(), "pinUvAuthToken") {
			return fmt.Errorf("%w: no persistent tokens", ErrUnsupported)
		}
		q := uvQuestion{permissions: ctap2.PermissionPersistentReadOnly, wish: UVRequired}
		return a.authorized(ctx, decideUV(a.Info(), q), use{permissions: q.permissions}, func(z authorization) error {
			persistent = encodePersistent(z.token)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return persistent, nil
}

// CredentialsReadOnly is [Authenticator.Credentials] with what [Authenticator.PersistentToken] returned: nobody is
// asked for anything. When the token holds no longer the error wraps ctap2.ErrPINAuthInvalid.
func (a *Authenticator) CredentialsReadOnly(ctx context.Context, persistent []byte) (*ResidentCredentials, error) {
	var list *ResidentCredentials
	err := a.run(ctx, "credentials", func(ctx context.Context) error {
		preview, err := a.offers("management of credentials", "credMgmt", "credentialMgmtPreview", false)
		if err != nil {
			return err
		}
		return withPersistent(persistent, func(token *ctap2.Token) (err error) {
			m := &ctap2.CredentialManagement{Client: a.client(TouchToVerify), Token: token, Preview: preview}
			list, err = a.listCredentials(ctx, m)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Identifier returns, given what [Authenticator.PersistentToken] returned, 16 bytes that tell this key from all
// others until it is reset. The key does not prove them: a copy that knows the token can say the same. Keys that have
// no identifier give an error that wraps [ErrUnsupported].
func (a *Authenticator) Identifier(persistent []byte) (id [16]byte, err error) {
	info := a.Info()
	if len(info.EncIdentifier) == 0 {
		return id, fmt.Errorf("authenticator: identifier: %w: it has none", ErrUnsupported)
	}
	err = withPersistent(persistent, func(token *ctap2.Token) (err error) {
		id, err = info.Identifier(token)
		return err
	})
	if err != nil {
		return id, fmt.Errorf("authenticator: identifier: %w", err)
	}
	return id, nil
}

// CredStoreState asks the key anew and returns, given what [Authenticator.PersistentToken] returned, 16 bytes that
// are others as soon as a resident credential was made, changed or deleted: a list need not be read again before.
// Keys from before CTAP 2.3 give an error that wraps [ErrUnsupported].
func (a *Authenticator) CredStoreState(ctx context.Context, persistent []byte) (state [16]byte, err error) {
	err = a.run(ctx, "state of the credentials", func(ctx context.Context) error {
		if len(a.Info().EncCredStoreState) == 0 {
			return fmt.Errorf("%w: it does not tell", ErrUnsupported)
		}
		if err := a.refresh(ctx); err != nil {
			return err
		}
		return withPersistent(persistent, func(token *ctap2.Token) (err error) {
			state, err = a.Info().CredStoreState(token)
			return err
		})
	})
	return state, err
}

// encodePersistent puts the protocol before the token.
func encodePersistent(token *ctap2.Token) []byte {
	secret := token.Secret()
	defer clear(secret)
	return append([]byte{byte(token.Protocol())}, secret...)
}

// withPersistent runs use with the token that encodePersistent encoded.
func withPersistent(persistent []byte, use func(*ctap2.Token) error) error {
	if len(persistent) == 0 {
		return fmt.Errorf("%w: empty persistent token", ErrInvalidOptions)
	}
	token, err := ctap2.NewToken(ctap2.PINProtocol(persistent[0]), persistent[1:])
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidOptions, err)
	}
	defer token.Clear()
	return use(token)
}
