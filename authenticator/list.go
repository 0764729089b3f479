package authenticator

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// credentialList is an allow or exclude list, cut into batches that the key can take. More than one batch is probed
// silently for the entry that the key holds: see narrow.
type credentialList struct {
	batches  [][]ctap2.CredentialDescriptor
	required bool // the request must have a list (without one it would mean something else)
	single   bool // the request must have but the one entry that the key holds
	untold   bool // the key does not tell how many entries it takes
}

func (l *credentialList) oversized() bool { return len(l.batches) > 1 }

// mayBeTooLong says that the key may still want less in a batch.
func (l *credentialList) mayBeTooLong() bool {
	return l.untold && slices.ContainsFunc(l.batches, func(batch []ctap2.CredentialDescriptor) bool { return len(batch) > 1 })
}

// fitted runs a request with the list, and once more with one entry in a batch if the key says only now that it takes less.
func (l *credentialList) fitted(request func() error) error {
	err := request()
	if !l.mayBeTooLong() || !isAny(err, ctap2.ErrLimitExceeded, ctap2.ErrRequestTooLarge) {
		return err
	}
	l.batches = slices.Collect(slices.Chunk(slices.Concat(l.batches...), 1))
	return request()
}

// descriptorOverhead is what a descriptor takes in CBOR besides its ID.
const descriptorOverhead = 24

// newCredentialList drops the IDs that are too long to be the key's, and packs the others into batches of the size that
// the key takes beside the rest of the request, req.
func (a *Authenticator) newCredentialList(ids [][]byte, req any) (list credentialList, err error) {
	if len(ids) == 0 {
		return list, nil
	}
	rest, err := ctapcbor.Marshal(req)
	if err != nil {
		return list, fmt.Errorf("%w: %w", ErrInvalidOptions, err)
	}
	info := a.Info()
	list.untold = info.MaxCredentialCountInList == 0
	// The authorization and an hmac-secret input take at most some 300 bytes more.
	budget := max(int(min(info.MaxMsgSize, 1<<16))-len(rest)-300, 1)
	var batch []ctap2.CredentialDescriptor
	size := 0
	for _, id := range ids {
		if len(id) == 0 {
			return list, fmt.Errorf("%w: empty credential ID", ErrInvalidOptions)
		}
		if info.MaxCredentialIDLength > 0 && uint64(len(id)) > info.MaxCredentialIDLength {
			continue
		}
		full := info.MaxCredentialCountInList > 0 && uint64(len(batch)) >= info.MaxCredentialCountInList
		if full || (len(batch) > 0 && size+descriptorOverhead+len(id) > budget) {
			list.batches, batch, size = append(list.batches, batch), nil, 0
		}
		batch = append(batch, descriptor(id))
		size += descriptorOverhead + len(id)
	}
	if len(batch) == 0 { // all were too long: something that is certainly not there keeps the meaning of the request
		batch = append(batch, descriptor([]byte{0}))
	}
	list.batches = append(list.batches, batch)
	return list, nil
}

func descriptor(id []byte) ctap2.CredentialDescriptor {
	return ctap2.CredentialDescriptor{ID: id, Type: ctap2.PublicKeyType}
}

func lists(list []ctap2.CredentialDescriptor, id []byte) bool {
	for _, d := range list {
		if bytes.Equal(d.ID, id) {
			return true
		}
	}
	return false
}

// narrow returns a list that fits into one request: all of it, or the entry that the key holds, found by asking for
// assertions without a touch. The authorization goes along, for the credentials that show themselves to nobody else.
func (a *Authenticator) narrow(
	ctx context.Context, list credentialList, rpID string, z authorization,
) ([]ctap2.CredentialDescriptor, error) {
	if len(list.batches) == 0 {
		return nil, nil
	}
	if !list.oversized() && !list.single {
		return list.batches[0], nil
	}
	for _, batch := range list.batches {
		found, err := a.probe(ctx, batch, rpID, z)
		if found != nil || err != nil {
			return found, err
		}
	}
	if list.required {
		return list.batches[0][:1], nil // the key shall say that it has none, in its own way
	}
	return nil, nil
}

// probe returns the entries of batch that the key may hold, nil if it holds none.
func (a *Authenticator) probe(
	ctx context.Context, batch []ctap2.CredentialDescriptor, rpID string, z authorization,
) ([]ctap2.CredentialDescriptor, error) {
	id, err := a.find(ctx, batch, rpID, z)
	switch {
	case refusesSilence(err): // then any of them may be there
		return batch, nil
	case id == nil || err != nil:
		return nil, err
	}
	return []ctap2.CredentialDescriptor{descriptor(id)}, nil
}

// find returns the entry of batch that the key holds, nil if it holds none, without a touch.
func (a *Authenticator) find(
	ctx context.Context, batch []ctap2.CredentialDescriptor, rpID string, z authorization,
) (id []byte, err error) {
	hash := make([]byte, hashSize)
	req := &ctap2.GetAssertionRequest{RPID: rpID, ClientDataHash: hash, AllowList: batch}
	if isOn(a.Info(), "up") { // a key without a button is always silent, and need not know the option
		req.Options.UserPresence = new(bool)
	}
	req.PINUVAuthParam, req.PINUVAuthProtocol = z.param(hash)
	resp, err := a.client(TouchToAuthenticate).GetAssertion(ctx, req)
	switch {
	case isAny(err, ctap2.ErrNoCredentials, ctap2.ErrInvalidCredential):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return credentialID(batch, resp.Credential)
}

// excludeAppID refuses, after a touch, if the key holds an entry of the list that was made for a U2F AppID.
func (a *Authenticator) excludeAppID(ctx context.Context, list credentialList, appID string) error {
	if appID == "" {
		return nil
	}
	for _, batch := range list.batches {
		found, err := a.probe(ctx, batch, appID, authorization{})
		if err != nil {
			return err
		}
		if found != nil {
			return a.touched(ctx, TouchToRegister, ctap2.ErrCredentialExcluded)
		}
	}
	return nil
}

// refusesSilence says that the key answers nothing without a touch: YubiKey 4 (UP_REQUIRED, when it holds one of the
// list), and keys with alwaysUv.
func refusesSilence(err error) bool {
	return isAny(err, ctap2.ErrUPRequired, ctap2.ErrPUATRequired, ctap2.ErrUnsupportedOption, ctap2.ErrInvalidOption,
		ctap2.ErrOperationDenied)
}
