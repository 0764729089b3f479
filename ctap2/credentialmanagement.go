package ctap2

import (
	"context"
	"crypto/sha256"

	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// The subcommands of authenticatorCredentialManagement (section 6.8).
const (
	SubcommandGetCredsMetadata                      Subcommand = 0x01
	SubcommandEnumerateRPsBegin                     Subcommand = 0x02
	SubcommandEnumerateRPsGetNextRP                 Subcommand = 0x03
	SubcommandEnumerateCredentialsBegin             Subcommand = 0x04
	SubcommandEnumerateCredentialsGetNextCredential Subcommand = 0x05
	SubcommandDeleteCredential                      Subcommand = 0x06
	SubcommandUpdateUserInformation                 Subcommand = 0x07
)

// CredentialManagementRequest holds the parameters of authenticatorCredentialManagement. The methods of
// [CredentialManagement] fill it in.
type CredentialManagementRequest struct {
	Subcommand        Subcommand          `cbor:"1,keyasint"`
	Params            ctapcbor.RawMessage `cbor:"2,keyasint,omitempty"` // CredentialManagementParams, as authenticated
	PINUVAuthProtocol PINProtocol         `cbor:"3,keyasint,omitempty"`
	PINUVAuthParam    []byte              `cbor:"4,keyasint,omitempty"`
}

// CredentialManagementParams holds the parameters of the subcommands of authenticatorCredentialManagement.
type CredentialManagementParams struct {
	RPIDHash     []byte                `cbor:"1,keyasint,omitempty"` // 32 bytes
	CredentialID *CredentialDescriptor `cbor:"2,keyasint,omitempty"`
	User         *User                 `cbor:"3,keyasint,omitempty"`
}

// CredentialManagementResponse holds the members of every answer to authenticatorCredentialManagement. Its numbers
// are untrusted and may be as large as they like.
type CredentialManagementResponse struct {
	ExistingResidentCredentials             *uint64               `cbor:"1,keyasint,omitempty"`
	MaxPossibleRemainingResidentCredentials *uint64               `cbor:"2,keyasint,omitempty"`
	RP                                      *RelyingParty         `cbor:"3,keyasint,omitempty"` // its ID may be cut off
	RPIDHash                                []byte                `cbor:"4,keyasint,omitempty"` // 32 bytes
	TotalRPs                                *uint64               `cbor:"5,keyasint,omitempty"`
	User                                    *User                 `cbor:"6,keyasint,omitempty"`
	CredentialID                            *CredentialDescriptor `cbor:"7,keyasint,omitempty"`
	PublicKey                               ctapcbor.RawMessage   `cbor:"8,keyasint,omitempty"` // see [cose.ParseKey]
	TotalCredentials                        *uint64               `cbor:"9,keyasint,omitempty"`
	CredProtect                             uint                  `cbor:"10,keyasint,omitempty"`
	LargeBlobKey                            []byte                `cbor:"11,keyasint,omitempty"` // 32 bytes, secret
	ThirdPartyPayment                       bool                  `cbor:"12,keyasint,omitempty"`
}

// CredentialManagement sends authenticatorCredentialManagement, to list and change the resident credentials of an
// authenticator. Each method sends one command. The authenticator forgets where an enumeration was as soon as it gets
// any other command.
type CredentialManagement struct {
	Client  *Client
	Token   *Token // with PermissionCredentialManagement; PermissionPersistentReadOnly will do to list
	Preview bool   // use the command of "FIDO_2_1_PRE"
}

// Metadata returns how many resident credentials there are, and for how many more there is room at most
// (getCredsMetadata).
func (m *CredentialManagement) Metadata(ctx context.Context) (existing, remaining uint64, err error) {
	resp, err := m.authenticated(ctx, SubcommandGetCredsMetadata, nil)
	if err != nil {
		return 0, 0, err
	}
	if resp.ExistingResidentCredentials == nil {
		return 0, 0, missing(m.command(), "existingResidentCredentialsCount")
	}
	if resp.MaxPossibleRemainingResidentCredentials == nil {
		return 0, 0, missing(m.command(), "maxPossibleRemainingResidentCredentialsCount")
	}
	return *resp.ExistingResidentCredentials, *resp.MaxPossibleRemainingResidentCredentials, nil
}

// EnumerateRPsBegin returns the first relying party that the authenticator holds resident credentials for, in RP and
// RPIDHash, and how many such parties there are in TotalRPs. When there are none an authenticator answers
// [ErrNoCredentials] or a total of zero without a relying party.
func (m *CredentialManagement) EnumerateRPsBegin(ctx context.Context) (*CredentialManagementResponse, error) {
	resp, err := m.authenticated(ctx, SubcommandEnumerateRPsBegin, nil)
	if err != nil {
		return nil, err
	}
	if resp.TotalRPs == nil {
		return nil, missing(m.command(), "totalRPs")
	}
	if *resp.TotalRPs == 0 {
		return resp, nil
	}
	return m.checkRP(resp)
}

// EnumerateRPsNext returns the next relying party (enumerateRPsGetNextRP).
func (m *CredentialManagement) EnumerateRPsNext(ctx context.Context) (*CredentialManagementResponse, error) {
	resp, err := m.call(ctx, &CredentialManagementRequest{Subcommand: SubcommandEnumerateRPsGetNextRP})
	if err != nil {
		return nil, err
	}
	return m.checkRP(resp)
}

func (m *CredentialManagement) checkRP(resp *CredentialManagementResponse) (*CredentialManagementResponse, error) {
	if resp.RP == nil {
		return nil, missing(m.command(), "rp")
	}
	if len(resp.RPIDHash) != sha256.Size {
		return nil, missing(m.command(), "rpIDHash")
	}
	return resp, nil
}

// EnumerateCredentialsBegin returns the first resident credential of the relying party whose ID has the given
// SHA-256, in User, CredentialID, PublicKey and what follows them, and how many there are in TotalCredentials. When
// there are none an authenticator answers [ErrNoCredentials] or a total of zero without a credential.
func (m *CredentialManagement) EnumerateCredentialsBegin(
	ctx context.Context, rpIDHash [sha256.Size]byte,
) (*CredentialManagementResponse, error) {
	params := &CredentialManagementParams{RPIDHash: rpIDHash[:]}
	resp, err := m.authenticated(ctx, SubcommandEnumerateCredentialsBegin, params)
	if err != nil {
		return nil, err
	}
	if resp.TotalCredentials == nil {
		return nil, missing(m.command(), "totalCredentials")
	}
	if *resp.TotalCredentials == 0 {
		return resp, nil
	}
	return m.checkCredential(resp)
}

// EnumerateCredentialsNext returns the next credential (enumerateCredentialsGetNextCredential).
func (m *CredentialManagement) EnumerateCredentialsNext(ctx context.Context) (*CredentialManagementResponse, error) {
	req := &CredentialManagementRequest{Subcommand: SubcommandEnumerateCredentialsGetNextCredential}
	resp, err := m.call(ctx, req)
	if err != nil {
		return nil, err
	}
	return m.checkCredential(resp)
}

func (m *CredentialManagement) checkCredential(
	resp *CredentialManagementResponse,
) (*CredentialManagementResponse, error) {
	switch {
	case resp.User == nil:
		return nil, missing(m.command(), "user")
	case resp.CredentialID == nil || checkIDSize(len(resp.CredentialID.ID)) != nil:
		return nil, missing(m.command(), "credentialID")
	case len(resp.PublicKey) == 0:
		return nil, missing(m.command(), "publicKey")
	case len(resp.LargeBlobKey) != 0 && len(resp.LargeBlobKey) != largeBlobKeySize:
		return nil, missing(m.command(), "largeBlobKey")
	}
	return resp, nil
}

// DeleteCredential deletes one resident credential (deleteCredential).
func (m *CredentialManagement) DeleteCredential(ctx context.Context, id CredentialDescriptor) error {
	_, err := m.authenticated(ctx, SubcommandDeleteCredential, &CredentialManagementParams{CredentialID: &id})
	return err
}

// UpdateUser replaces the names of a resident credential's user (updateUserInformation); an empty name is removed.
// The user's ID must be the one of the credential. The preview does not know this.
func (m *CredentialManagement) UpdateUser(ctx context.Context, id CredentialDescriptor, user User) error {
	params := &CredentialManagementParams{CredentialID: &id, User: &user}
	_, err := m.authenticated(ctx, SubcommandUpdateUserInformation, params)
	return err
}

// authenticated sends a subcommand with the token's MAC over it and its parameters, which are nil if there are none.
func (m *CredentialManagement) authenticated(
	ctx context.Context, sub Subcommand, params *CredentialManagementParams,
) (*CredentialManagementResponse, error) {
	req := &CredentialManagementRequest{Subcommand: sub}
	if params != nil {
		var err error
		if req.Params, err = ctapcbor.Marshal(params); err != nil {
			return nil, err
		}
	}
	message := append([]byte{byte(sub)}, req.Params...)
	req.PINUVAuthParam, req.PINUVAuthProtocol = m.Token.param(message)
	return m.call(ctx, req)
}

func (m *CredentialManagement) call(
	ctx context.Context, req *CredentialManagementRequest,
) (*CredentialManagementResponse, error) {
	resp := new(CredentialManagementResponse)
	if err := m.Client.call(ctx, m.command(), req, resp); err != nil {
		return nil, err
	}
	return resp, nil
}

func (m *CredentialManagement) command() Command {
	if m.Preview {
		return CommandCredentialManagementPreview
	}
	return CommandCredentialManagement
}
