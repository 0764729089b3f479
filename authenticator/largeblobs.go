package authenticator

import (
	"context"
	"errors"
	"fmt"

	"github.com/keyfob-go/keyfob/ctap2"
)

// LargeBlobs reads the large blobs of all credentials, which are encrypted with the largeBlobKey of their
// credentials: [ctap2.LargeBlobArray.Get]. It asks for nothing. Changes to the result change nothing on the key.
//
// Keys without large blobs give an error that wraps [ErrUnsupported], as do the other methods for them. One that
// wraps [ctap2.ErrLargeBlobArray] says that what is stored is damaged; only [Authenticator.EraseLargeBlobs] will
// overwrite it.
func (a *Authenticator) LargeBlobs(ctx context.Context) (blobs *ctap2.LargeBlobArray, err error) {
	err = a.run(ctx, "large blobs", func(ctx context.Context) error {
		if err := a.offersLargeBlobs(); err != nil {
			return err
		}
		blobs, err = a.readLargeBlobs(ctx)
		return err
	})
	return blobs, err
}

// SetLargeBlob stores the blob of a credential, in the place of the one before, given the credential's largeBlobKey
// of 32 bytes. It is compressed. It asks for the PIN, or lets the key verify the user, unless a call that did so is
// not long past or the key has neither. When there is no room the error wraps [ctap2.ErrLargeBlobStorageFull].
func (a *Authenticator) SetLargeBlob(ctx context.Context, key, blob []byte) error {
	return a.run(ctx, "set a large blob", func(ctx context.Context) error {
		if err := new(ctap2.LargeBlobArray).Set(key, blob); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalidOptions, err)
		}
		set := func(blobs *ctap2.LargeBlobArray, _ *ctap2.Token) (bool, error) { return true, blobs.Set(key, blob) }
		return a.changeLargeBlobs(ctx, ctap2.PermissionLargeBlobWrite, set)
	})
}

// DeleteLargeBlob deletes the blob of a credential, given the credential's largeBlobKey of 32 bytes. If there is none
// nothing happens. It asks as [Authenticator.SetLargeBlob] does.
func (a *Authenticator) DeleteLargeBlob(ctx context.Context, key []byte) error {
	return a.run(ctx, "delete a large blob", func(ctx context.Context) error {
		if _, err := new(ctap2.LargeBlobArray).Delete(key); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalidOptions, err)
		}
		drop := func(blobs *ctap2.LargeBlobArray, _ *ctap2.Token) (bool, error) { return blobs.Delete(key) }
		return a.changeLargeBlobs(ctx, ctap2.PermissionLargeBlobWrite, drop)
	})
}

// CollectLargeBlobs deletes the blobs whose credentials are no longer on the key and returns how many it were.
// Entries that are no large blobs of CTAP 2.3 stay. It asks as [Authenticator.SetLargeBlob] does, once, and needs a
// key that lists its credentials as well.
func (a *Authenticator) CollectLargeBlobs(ctx context.Context) (removed int, err error) {
	const permissions = ctap2.PermissionLargeBlobWrite | ctap2.PermissionCredentialManagement
	err = a.run(ctx, "collect large blobs", func(ctx context.Context) error {
		if !isOn(a.Info(), "credMgmt") { // the preview does not know keys of large blobs: all would seem to be abandoned
			return fmt.Errorf("%w: no management of credentials", ErrUnsupported)
		}
		return a.changeLargeBlobs(ctx, permissions, func(blobs *ctap2.LargeBlobArray, token *ctap2.Token) (bool, error) {
			keys, err := a.largeBlobKeys(ctx, token)
			if err != nil {
				return false, err
			}
			removed, err = blobs.Retain(keys)
			return removed > 0, err
		})
	})
	if err != nil {
		return 0, err
	}
	return removed, nil
}

// largeBlobKeys returns those of all credentials on the key.
func (a *Authenticator) largeBlobKeys(ctx context.Context, token *ctap2.Token) (keys [][]byte, err error) {
	list, err := a.listCredentials(ctx, &ctap2.CredentialManagement{Client: a.client(0), Token: token})
	if err != nil {
		return nil, err
	}
	for _, rp := range list.RelyingParties {
		for _, c := range rp.Credentials {
			if len(c.LargeBlobKey) > 0 {
				keys = append(keys, c.LargeBlobKey)
			}
		}
	}
	return keys, nil
}

// EraseLargeBlobs deletes the large blobs of all credentials and all programs, also if what is stored is damaged. It
// asks as [Authenticator.SetLargeBlob] does.
func (a *Authenticator) EraseLargeBlobs(ctx context.Context) error {
	return a.run(ctx, "erase large blobs", func(ctx context.Context) error {
		if err := a.offersLargeBlobs(); err != nil {
			return err
		}
		return a.managed(ctx, uvQuestion{permissions: ctap2.PermissionLargeBlobWrite}, func(token *ctap2.Token) error {
			return a.writeLargeBlobs(ctx, token, new(ctap2.LargeBlobArray))
		})
	})
}

func (a *Authenticator) offersLargeBlobs() error {
	_, err := a.offers("large blobs", "largeBlobs", "", false)
	return err
}

// largeBlobChange changes an array, and says whether it did.
type largeBlobChange func(*ctap2.LargeBlobArray, *ctap2.Token) (changed bool, err error)

// maxLargeBlobWrites is how often a change is tried while other programs write at the same time.
const maxLargeBlobWrites = 3

// changeLargeBlobs reads what is there, lets change change it, and writes it if that says so. The user is asked
// before all that, so that another program has no time to write in between; if one does, everything begins anew.
func (a *Authenticator) changeLargeBlobs(
	ctx context.Context, permissions ctap2.Permission, change largeBlobChange,
) error {
	if err := a.offersLargeBlobs(); err != nil {
		return err
	}
	return a.managed(ctx, uvQuestion{permissions: permissions}, func(token *ctap2.Token) error {
		return a.changeLargeBlobsWith(ctx, token, change)
	})
}

func (a *Authenticator) changeLargeBlobsWith(ctx context.Context, token *ctap2.Token, change largeBlobChange) (err error) {
	for range maxLargeBlobWrites {
		err = a.changeLargeBlobsOnce(ctx, token, change)
		if !isAny(err, ctap2.ErrIntegrityFailure, ctap2.ErrInvalidSeq) {
			break
		}
	}
	return err
}

func (a *Authenticator) changeLargeBlobsOnce(ctx context.Context, token *ctap2.Token, change largeBlobChange) error {
	blobs, err := a.readLargeBlobs(ctx)
	if err != nil {
		return err
	}
	changed, err := change(blobs, token)
	if err != nil || !changed {
		return err
	}
	return a.writeLargeBlobs(ctx, token, blobs)
}

// writeBlobOf stores the large blob of the credential that has just signed, and notes whether that worked: the
// signature is good in any case.
func (a *Authenticator) writeBlobOf(ctx context.Context, signed *Assertion, blob []byte, token *ctap2.Token) error {
	if signed.LargeBlobKey == nil {
		return nil
	}
	err := a.changeLargeBlobsWith(ctx, token, func(blobs *ctap2.LargeBlobArray, _ *ctap2.Token) (bool, error) {
		return true, blobs.Set(signed.LargeBlobKey, blob)
	})
	signed.LargeBlobWritten = err == nil
	var status ctap2.Status
	if errors.As(err, &status) || errors.Is(err, ctap2.ErrLargeBlobArray) {
		return nil
	}
	return err
}

// fragmentSize is how many bytes of the array go into a message (CTAP 2.3, section 6.10.2): what a key takes, but not
// more than a transport does.
func (a *Authenticator) fragmentSize() int {
	const overhead, maxMessage = 64, 7609
	return int(min(a.Info().MaxMsgSize, maxMessage)) - overhead
}

// maxLargeBlobArray is the size in bytes of a larger array than any key stores.
const maxLargeBlobArray = 1 << 18

// readLargeBlobs reads the array, and once more if it is damaged: another program may have been writing.
func (a *Authenticator) readLargeBlobs(ctx context.Context) (*ctap2.LargeBlobArray, error) {
	blobs, err := a.readLargeBlobsOnce(ctx)
	if errors.Is(err, ctap2.ErrLargeBlobArray) {
		blobs, err = a.readLargeBlobsOnce(ctx)
	}
	return blobs, err
}

func (a *Authenticator) readLargeBlobsOnce(ctx context.Context) (*ctap2.LargeBlobArray, error) {
	var array []byte
	client, size := a.client(0), a.fragmentSize()
	for {
		fragment, err := client.GetLargeBlobs(ctx, uint32(len(array)), uint32(size))
		if err != nil {
			return nil, err
		}
		array = append(array, fragment...)
		if len(fragment) < size {
			return ctap2.ParseLargeBlobArray(array)
		}
		if len(array) > a.largeBlobRoom() {
			return nil, fmt.Errorf("%w: more than %d bytes of large blobs", ErrInvalidResponse, a.largeBlobRoom())
		}
	}
}

// largeBlobRoom is how many bytes the array may have.
func (a *Authenticator) largeBlobRoom() int {
	room := a.Info().MaxSerializedLargeBlobArray
	if room == 0 {
		return maxLargeBlobArray
	}
	return int(min(room, maxLargeBlobArray))
}

func (a *Authenticator) writeLargeBlobs(ctx context.Context, token *ctap2.Token, blobs *ctap2.LargeBlobArray) error {
	array, client, size := blobs.Marshal(), a.client(0), a.fragmentSize()
	if room := a.largeBlobRoom(); len(array) > room {
		return fmt.Errorf("%w: %d bytes in %d", ctap2.ErrLargeBlobStorageFull, len(array), room)
	}
	for offset := 0; offset < len(array); offset += size {
		fragment := array[offset:min(offset+size, len(array))]
		if err := client.SetLargeBlobs(ctx, token, uint32(offset), uint32(len(array)), fragment); err != nil {
			return err
		}
		a.progress(offset+len(fragment), len(array))
	}
	return nil
}
