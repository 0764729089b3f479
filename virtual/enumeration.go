package virtual

import (
	"crypto/sha256"
	"time"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// enumeration is what the platform has not yet seen of a list, sections 6.8.3 and 6.8.4.
type enumeration struct {
	next  ctap2.Subcommand // that goes on with it
	token *token           // that it is for, and with which it ends
	rest  []*credential    // of a list of relying parties one for each
	last  time.Time        // when the platform saw the last entry
	era   int              // a power cycle or reset ends it
}

// enumerateRPs begins a list of the relying parties with passkeys, those of the oldest first.
func (a *Authenticator) enumerateRPs(m *managed) (any, error) {
	if !m.allows("") {
		return nil, ctap2.ErrPINAuthInvalid
	}
	var list []*credential
	seen := make(map[string]bool)
	for _, c := range a.state.passkeys() {
		if !seen[c.RPID] {
			seen[c.RPID] = true
			list = append(list, c)
		}
	}
	if len(list) == 0 {
		return a.noRPs()
	}
	resp := a.describeRP(list[0])
	total := uint64(len(list))
	resp.TotalRPs = &total
	a.remember(m.call, m.token, ctap2.SubcommandEnumerateRPsGetNextRP, list[1:])
	return resp, nil
}

func (a *Authenticator) noRPs() (any, error) {
	if a.config.Faults.EmptyLists {
		return &ctap2.CredentialManagementResponse{TotalRPs: new(uint64)}, nil
	}
	return nil, ctap2.ErrNoCredentials
}

// enumerateCredentials begins a list of a relying party's passkeys, the oldest first.
func (a *Authenticator) enumerateCredentials(m *managed) (any, error) {
	var list []*credential
	for _, c := range a.state.passkeys() {
		if c.rpIDHash() == [sha256.Size]byte(m.RPIDHash) {
			list = append(list, c)
		}
	}
	switch {
	case m.token.rpID != "" && sha256.Sum256([]byte(m.token.rpID)) != [sha256.Size]byte(m.RPIDHash):
		return nil, ctap2.ErrPINAuthInvalid
	case len(list) == 0:
		return nil, ctap2.ErrNoCredentials
	}
	resp, err := a.describeCredential(list[0])
	if err != nil {
		return nil, err
	}
	total := uint64(len(list))
	resp.TotalCredentials = &total
	a.remember(m.call, m.token, ctap2.SubcommandEnumerateCredentialsGetNextCredential, list[1:])
	return resp, nil
}

func (a *Authenticator) remember(c *call, t *token, next ctap2.Subcommand, rest []*credential) {
	c.session.enumeration = &enumeration{next: next, token: t, rest: rest, last: time.Now(), era: a.era}
}

// isOver reports whether there is nothing more to see: all was seen, or it took too long.
func (e *enumeration) isOver(era int) bool {
	return len(e.rest) == 0 || e.era != era || e.token.isExpired() || time.Since(e.last) >= walkTimeout
}

// enumerateNext returns the next entry of the list that the last command was about.
func (a *Authenticator) enumerateNext(c *call, e *enumeration, sub ctap2.Subcommand) (any, error) {
	if e == nil || e.next != sub || e.isOver(a.era) {
		return nil, ctap2.ErrNotAllowed
	}
	a.remember(c, e.token, sub, e.rest[1:])
	if sub == ctap2.SubcommandEnumerateRPsGetNextRP {
		return a.describeRP(e.rest[0]), nil
	}
	return a.describeCredential(e.rest[0])
}

func (a *Authenticator) describeRP(c *credential) *ctap2.CredentialManagementResponse {
	hash := c.rpIDHash()
	rp := &ctap2.RelyingParty{ID: c.RPID, Name: a.cutName(c.RPName)}
	if a.config.CutRPIDs {
		rp.ID = cutRPID(c.RPID)
	}
	return &ctap2.CredentialManagementResponse{RP: rp, RPIDHash: hash[:]}
}

// described is a credential in a list. Unlike ctap2's, it tells false from unknown.
type described struct {
	ctap2.CredentialManagementResponse
	ThirdPartyPayment *bool `cbor:"12,keyasint,omitempty"`
}

func (a *Authenticator) describeCredential(c *credential) (*described, error) {
	public, err := c.publicKey()
	if err != nil {
		return nil, err
	}
	publicKey, err := ctapcbor.Marshal(public)
	if err != nil {
		return nil, err
	}
	return &described{
		CredentialManagementResponse: ctap2.CredentialManagementResponse{
			User:         a.userOf(c),
			CredentialID: &ctap2.CredentialDescriptor{ID: c.ID, Type: ctap2.PublicKeyType},
			PublicKey:    publicKey,
			CredProtect:  max(c.CredProtect, ctap2.CredProtectUVOptional),
			LargeBlobKey: c.LargeBlobKey,
		},
		ThirdPartyPayment: c.ThirdPartyPayment,
	}, nil
}
