package main

import (
	"context"
	"errors"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
)

// blobStore is what a key stores for its passkeys.
type blobStore struct {
	*ctap2.LargeBlobArray
	room     int // bytes; 0: the key does not say
	passkeys []passkey
}

// readBlobs reads what the key stores, and then its passkeys, for which alone it asks the user: to change the blobs as
// well, or only to look.
func readBlobs(ctx context.Context, key *authenticator.Authenticator, change bool) (*blobStore, error) {
	array, err := key.LargeBlobs(ctx)
	if err != nil {
		return nil, blobFailure(err)
	}
	if change { // both at once, or the user would be asked twice
		const permissions = ctap2.PermissionLargeBlobWrite | ctap2.PermissionCredentialManagement
		if err := key.VerifyUser(ctx, permissions); err != nil {
			return nil, err
		}
	}
	passkeys, err := readPasskeys(ctx, key)
	if err != nil {
		return nil, err
	}
	return &blobStore{array, int(min(key.Info().MaxSerializedLargeBlobArray, mostRoom)), passkeys}, nil
}

const mostRoom = 1 << 30 // bytes that a key is believed to have

// blobFailure has advice for what is wrong with a whole store.
func blobFailure(err error) error {
	if errors.Is(err, ctap2.ErrLargeBlobArray) {
		return failuref(exitError, `"keyfob blobs delete --all" deletes what is there and begins anew`, "%w", err)
	}
	return err
}

// find returns the passkey that is meant, which must be one that may have a blob.
func (s *blobStore) find(meant string) (passkey, error) {
	p, err := pickPasskey(s.passkeys, meant)
	if err != nil {
		return passkey{}, err
	}
	if !p.mayHaveBlob() {
		return passkey{}, failuref(exitUnsupported, `make one with "keyfob register --resident --large-blob"`,
			"the passkey of %v is not made for large blobs", p)
	}
	return p, nil
}

// blobOf returns the blob of a passkey.
func (s *blobStore) blobOf(p passkey) ([]byte, error) {
	blob, found, err := s.Get(p.LargeBlobKey)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, failuref(exitNoMatch, `"keyfob blobs list" shows those that have one`, "the passkey of %v has no large blob", p)
	}
	return blob, nil
}

// abandoned returns how many blobs belong to no passkey any more.
func (s *blobStore) abandoned() (int, error) {
	var keys [][]byte
	for _, p := range s.passkeys {
		if p.mayHaveBlob() {
			keys = append(keys, p.LargeBlobKey)
		}
	}
	rest, err := ctap2.ParseLargeBlobArray(s.Marshal())
	if err != nil {
		return 0, err
	}
	return rest.Retain(keys)
}
