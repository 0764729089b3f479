package fido2tools

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
)

// maxListed is the number of entries of one list that are taken from a key. None has room for so many.
const maxListed = 10_000

// manage gets access to the resident credentials, of one relying party if rpID is not empty.
func (d *device) manage(pin []byte, rpID string, run func(*ctap2.CredentialManagement) error) error {
	if d.info == nil {
		return ctap2.ErrInvalidCommand
	}
	token, err := d.token(pin, ctap2.PermissionCredentialManagement, rpID)
	if err != nil {
		return err
	}
	defer token.Clear()
	return run(&ctap2.CredentialManagement{Client: &d.ctap2, Token: token, Preview: d.previewOf("credMgmt")})
}

// manageOrAsk is manage that asks for the PIN only if it must.
func (d *device) manageOrAsk(function, rpID string, run func(*ctap2.CredentialManagement) error) error {
	return d.failed(function, d.retryWithPIN(func(pin []byte) error { return d.manage(pin, rpID, run) }))
}

// entries walks an enumeration, of which an answer has the given total.
func entries(
	first *ctap2.CredentialManagementResponse, total *uint64,
	next func() (*ctap2.CredentialManagementResponse, error),
) ([]*ctap2.CredentialManagementResponse, error) {
	switch {
	case total == nil || *total == 0:
		return nil, nil
	case *total > maxListed:
		return nil, codeRXInvalidCBOR
	}
	all := []*ctap2.CredentialManagementResponse{first}
	for uint64(len(all)) < *total {
		r, err := next()
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

func (d *device) enumerateRPs(m *ctap2.CredentialManagement) ([]*ctap2.CredentialManagementResponse, error) {
	first, err := m.EnumerateRPsBegin(d.ctx)
	if err != nil {
		return nil, err
	}
	return entries(first, first.TotalRPs, func() (*ctap2.CredentialManagementResponse, error) {
		return m.EnumerateRPsNext(d.ctx)
	})
}

func (d *device) enumerateCredentials(
	m *ctap2.CredentialManagement, rpID string,
) ([]*ctap2.CredentialManagementResponse, error) {
	first, err := m.EnumerateCredentialsBegin(d.ctx, sha256.Sum256([]byte(rpID)))
	if err != nil {
		return nil, err
	}
	return entries(first, first.TotalCredentials, func() (*ctap2.CredentialManagementResponse, error) {
		return m.EnumerateCredentialsNext(d.ctx)
	})
}

// showCounts is -I -c.
func (d *device) showCounts() error {
	return d.manageOrAsk("fido_credman_get_dev_metadata", "", func(m *ctap2.CredentialManagement) error {
		existing, remaining, err := m.Metadata(d.ctx)
		if err == nil {
			fmt.Fprintf(d.out, "existing rk(s): %d\nremaining rk(s): %d\n", uint32(existing), uint32(remaining))
		}
		return err
	})
}

func (d *device) listRPs() error {
	return d.manageOrAsk("fido_credman_get_dev_rp", "", func(m *ctap2.CredentialManagement) error {
		all, err := d.enumerateRPs(m)
		for i, r := range all {
			if r.RP == nil || len(r.RPIDHash) == 0 {
				return codeRXInvalidCBOR
			}
			fmt.Fprintf(d.out, "%02d: %s %s\n", i, encodeBase64(r.RPIDHash), r.RP.ID)
		}
		return err
	})
}

// stored is a resident credential.
type stored struct {
	*ctap2.CredentialManagementResponse
	key *cose.Key // nil if it is of an unknown kind
}

func (d *device) credentialsOf(m *ctap2.CredentialManagement, rpID string) ([]stored, error) {
	all, err := d.enumerateCredentials(m, rpID)
	if err != nil {
		return nil, err
	}
	list := make([]stored, len(all))
	for i, r := range all {
		if r.CredentialID == nil || r.User == nil {
			return nil, codeRXInvalidCBOR
		}
		key, err := cose.ParseKey(r.PublicKey)
		if err != nil && !errors.Is(err, cose.ErrUnsupportedAlgorithm) {
			return nil, codeRXInvalidCBOR
		}
		list[i] = stored{r, key}
	}
	return list, nil
}

// listCredentials is -L -k.
func (d *device) listCredentials(rpID string) error {
	return d.manageOrAsk("fido_credman_get_dev_rk", rpID, func(m *ctap2.CredentialManagement) error {
		all, err := d.credentialsOf(m, rpID)
		for i, c := range all {
			fmt.Fprintf(d.out, "%02d: %s %s %s %s %s%s\n", i, encodeBase64(c.CredentialID.ID),
				cmp.Or(c.User.DisplayName, "(null)"), encodeBase64(c.User.ID), c.typeName(), c.protection(), d.payment(c))
		}
		return err
	})
}

func (c stored) typeName() string {
	if c.key == nil {
		return "unknown"
	}
	return typeName(c.key.Algorithm)
}

func (c stored) protection() string {
	names := [...]string{"unknown", "uvopt", "uvopt+id", "uvreq"}
	if c.CredProtect < uint(len(names)) {
		return names[c.CredProtect]
	}
	return "unknown"
}

// payment is a column that the old version does not have.
func (d *device) payment(c stored) string {
	switch {
	case d.Old:
		return ""
	case c.ThirdPartyPayment:
		return " pay"
	}
	return " nopay"
}

// showCredential is -I -k -i.
func (d *device) showCredential(rpID, argument string) error {
	id, err := decodeBase64([]byte(argument))
	if err != nil {
		return errors.New("base64_decode")
	}
	var all []stored
	err = d.manageOrAsk("fido_credman_get_dev_rk", rpID, func(m *ctap2.CredentialManagement) (err error) {
		all, err = d.credentialsOf(m, rpID)
		return err
	})
	if err != nil {
		return err
	}
	for _, c := range all {
		if !bytes.Equal(c.CredentialID.ID, id) {
			continue
		}
		if c.key == nil {
			return errors.New("print_cred: unknown type")
		}
		text, err := credentialText(id, c.key)
		if err == nil {
			_, err = d.out.Write(text)
		}
		return err
	}
	return errors.New("credential not found")
}

// deleteCredential is -D -i.
func (d *device) deleteCredential(argument string) error {
	id, err := decodeBase64([]byte(argument))
	if err != nil {
		return errors.New("base64_decode")
	}
	return d.manageOrAsk("fido_credman_del_dev_rk", "", func(m *ctap2.CredentialManagement) error {
		return m.DeleteCredential(d.ctx, ctap2.CredentialDescriptor{ID: id, Type: ctap2.PublicKeyType})
	})
}

// updateUser is -S -c.
func (d *device) updateUser(o *tokenOptions) error {
	userID, err := decodeBase64([]byte(*o.key))
	if err != nil {
		return errors.New("base64_decode")
	}
	id, err := decodeBase64([]byte(*o.id))
	if err != nil {
		return errors.New("base64_decode")
	}
	user := ctap2.User{ID: userID, Name: valueOf(o.name), DisplayName: valueOf(o.display)}
	return d.manageOrAsk("fido_credman_set_dev_rk", "", func(m *ctap2.CredentialManagement) error {
		return m.UpdateUser(d.ctx, ctap2.CredentialDescriptor{ID: id, Type: ctap2.PublicKeyType}, user)
	})
}

func valueOf(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
