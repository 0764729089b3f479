package fido2tools

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

const (
	maxMessage     = 2048 // bytes of a message that libfido2 sends
	blobOverhead   = 64   // bytes of one that are not the fragment
	blobKeySize    = 32
	maxBlobArray   = 1 << 24
	blobHashLength = 16
)

// fragment returns how many bytes of the large-blob array fit into a message.
func (d *device) fragment() (uint32, error) {
	if d.info == nil || d.info.MaxMsgSize <= blobOverhead {
		return 0, codeInvalidArgument
	}
	return uint32(min(d.info.MaxMsgSize, maxMessage) - blobOverhead), nil
}

// readBlobs reads the array. One that is damaged counts as empty (CTAP 2.3, section 6.10.3). It returns how it was
// stored, too, without its hash.
func (d *device) readBlobs() (array *ctap2.LargeBlobArray, body []byte, err error) {
	size, err := d.fragment()
	if err != nil {
		return nil, nil, err
	}
	var stored []byte
	for len(stored) < maxBlobArray {
		part, err := d.ctap2.GetLargeBlobs(d.ctx, uint32(len(stored)), size)
		if err != nil {
			return nil, nil, err
		}
		stored = append(stored, part...)
		if len(part) < int(size) {
			break
		}
	}
	array, err = ctap2.ParseLargeBlobArray(stored)
	if err != nil {
		return &ctap2.LargeBlobArray{}, []byte{0x80}, nil
	}
	return array, stored[:len(stored)-blobHashLength], nil
}

// writeBlobs stores the array, with a token if there is a PIN or the key has such tokens.
func (d *device) writeBlobs(array *ctap2.LargeBlobArray, pin []byte) error {
	size, err := d.fragment()
	if err != nil {
		return err
	}
	var token *ctap2.Token
	if pin != nil || d.option("pinUvAuthToken") {
		if token, err = d.token(pin, ctap2.PermissionLargeBlobWrite, ""); err != nil {
			return err
		}
		defer token.Clear()
	}
	whole := array.Marshal()
	for offset := 0; offset < len(whole); offset += int(size) {
		part := whole[offset:min(offset+int(size), len(whole))]
		if err := d.ctap2.SetLargeBlobs(d.ctx, token, uint32(offset), uint32(len(whole)), part); err != nil {
			return err
		}
	}
	return nil
}

// blobKey finds the key of a blob: in a file, or as the largeBlobKey of a credential. The PIN is nil unless it had to be
// asked for, and then it serves for what follows.
func (d *device) blobKey(o *tokenOptions) (key, pin []byte, err error) {
	switch {
	case o.key != nil && (o.name != nil || o.id != nil), o.key == nil && o.name == nil:
		return nil, nil, errUsage
	case o.key != nil:
		key, err = d.readBlobKey(*o.key)
		return key, nil, err
	}
	var id []byte
	if o.id != nil {
		if id, err = decodeBase64([]byte(*o.id)); err != nil {
			return nil, nil, fmt.Errorf("load_key: base64_decode %s", *o.id)
		}
	}
	return d.lookUpBlobKey(*o.name, id)
}

func (d *device) readBlobKey(path string) ([]byte, error) {
	in, closer, err := d.input(path)
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	key := in.bytes()
	if in.err != nil {
		return nil, fmt.Errorf("load_key: base64_read %s", path)
	}
	return key, nil
}

func (d *device) lookUpBlobKey(rpID string, id []byte) (key, pin []byte, err error) {
	var all []stored
	err = d.retryWithPIN(func(p []byte) error {
		pin = bytes.Clone(p)
		return d.manage(p, rpID, func(m *ctap2.CredentialManagement) (err error) {
			all, err = d.credentialsOf(m, rpID)
			return err
		})
	})
	if err != nil {
		return nil, nil, d.failed("lookup_key: fido_credman_get_dev_rk", err)
	}
	c, err := chooseStored(all, id)
	if err != nil {
		return nil, nil, err
	}
	if len(c.LargeBlobKey) == 0 {
		return nil, nil, errors.New("lookup_key: no associated blob key")
	}
	return c.LargeBlobKey, pin, nil
}

// chooseStored returns the credential with an ID, or the only one if id is empty.
func chooseStored(all []stored, id []byte) (stored, error) {
	switch {
	case len(all) == 0:
		return stored{}, errors.New("lookup_key: rp id not found")
	case len(all) == 1 && len(id) == 0:
		return all[0], nil
	case len(id) == 0:
		return stored{}, errors.New("lookup_key: multiple credentials found")
	}
	for _, c := range all {
		if bytes.Equal(c.CredentialID.ID, id) {
			return c, nil
		}
	}
	return stored{}, errors.New("lookup_key: credential not found")
}

// getBlob is -G -b.
func (d *device) getBlob(o *tokenOptions, path string) error {
	const function = "fido_dev_largeblob_get"
	key, pin, err := d.blobKey(o)
	if err != nil {
		return err
	}
	defer clear(pin)
	if len(key) != blobKeySize {
		return d.failed(function, codeInvalidArgument)
	}
	array, _, err := d.readBlobs()
	if err != nil {
		return d.failed(function, err)
	}
	blob, found, err := array.Get(key)
	switch {
	case err != nil:
		return d.failed(function, codeCompress)
	case !found:
		return d.failed(function, codeNotFound)
	}
	return writeFile(path, blob)
}

// setBlob is -S -b.
func (d *device) setBlob(o *tokenOptions, path string) error {
	blob, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read_file: open %s: %s", path, strerror(err))
	}
	return d.changeBlobs(o, "fido_dev_largeblob_set", func(array *ctap2.LargeBlobArray, key []byte) error {
		return array.Set(key, blob)
	}, func(key []byte) bool { return len(key) == blobKeySize && len(blob) > 0 })
}

// deleteBlob is -D -b.
func (d *device) deleteBlob(o *tokenOptions) error {
	return d.changeBlobs(o, "fido_dev_largeblob_remove", func(array *ctap2.LargeBlobArray, key []byte) error {
		removed, err := array.Delete(key)
		if err == nil && !removed {
			err = codeNotFound
		}
		return err
	}, func(key []byte) bool { return len(key) == blobKeySize })
}

func (d *device) changeBlobs(
	o *tokenOptions, function string, change func(*ctap2.LargeBlobArray, []byte) error, valid func(key []byte) bool,
) error {
	key, pin, err := d.blobKey(o)
	if err != nil {
		return err
	}
	defer clear(pin)
	if !valid(key) {
		return d.failed(function, codeInvalidArgument)
	}
	run := func(pin []byte) error {
		array, _, err := d.readBlobs()
		if err != nil {
			return err
		}
		if err := change(array, key); err != nil {
			return err
		}
		return d.writeBlobs(array, pin)
	}
	if pin != nil {
		return d.failed(function, run(pin))
	}
	return d.failed(function, d.retryWithPIN(run))
}

// writeFile writes a file that only its owner may read, if there is none of that name yet.
func writeFile(path string, b []byte) error {
	f, err := createPrivate(path)
	if err != nil {
		return fmt.Errorf("write_file: open %s: %s", path, strerror(err))
	}
	out := &output{w: f, f: f}
	defer out.close()
	return out.write(b)
}

// blobOwner is a credential whose largeBlobKey may fit a blob.
type blobOwner struct {
	rpID string
	id   []byte
	key  []byte
}

// listBlobs is -L -b.
func (d *device) listBlobs() error {
	owners, err := d.blobOwners()
	if err != nil {
		return err
	}
	_, body, err := d.readBlobs()
	if err != nil {
		return d.failed("get_cbor_array: fido_dev_largeblob_get_array", err)
	}
	var entries []ctapcbor.RawMessage
	if err := ctapcbor.Unmarshal(body, &entries); err != nil || len(entries) == 0 {
		return nil
	}
	fmt.Fprintf(d.out, "total map size: %d byte%s\n", len(body), plural(uint64(len(body))))
	for i, entry := range entries {
		fmt.Fprintf(d.out, "%02d: %s\n", i, blobText(entry, owners))
	}
	return nil
}

func (d *device) blobOwners() (owners []blobOwner, err error) {
	pin, err := d.askPIN(d.path)
	if err != nil {
		return nil, err
	}
	defer clear(pin)
	var rps []*ctap2.CredentialManagementResponse
	err = d.manage(pin, "", func(m *ctap2.CredentialManagement) (err error) {
		rps, err = d.enumerateRPs(m)
		return err
	})
	if err != nil {
		return nil, d.failed("fido_credman_get_dev_rp", err)
	}
	for _, rp := range rps {
		if rp.RP == nil {
			return nil, d.failed("fido_credman_get_dev_rp", codeRXInvalidCBOR)
		}
		err := d.manage(pin, rp.RP.ID, func(m *ctap2.CredentialManagement) error {
			all, err := d.credentialsOf(m, rp.RP.ID)
			for _, c := range all {
				owners = append(owners, blobOwner{rp.RP.ID, c.CredentialID.ID, c.LargeBlobKey})
			}
			return err
		})
		if err != nil {
			return nil, d.failed("map_known_rps: fido_credman_get_dev_rk "+rp.RP.ID, err)
		}
	}
	return owners, nil
}

// blobEntry is one entry of the array (CTAP 2.3, section 6.10.3).
type blobEntry struct {
	Ciphertext []byte `cbor:"1,keyasint"`
	Nonce      []byte `cbor:"2,keyasint"`
	OrigSize   uint64 `cbor:"3,keyasint"`
}

// blobText describes one entry: the size of the ciphertext and of the blob, and whose it is.
func blobText(entry ctapcbor.RawMessage, owners []blobOwner) string {
	var e blobEntry
	if err := ctapcbor.Unmarshal(entry, &e); err != nil || e.Ciphertext == nil || e.Nonce == nil || e.OrigSize == 0 {
		return "<skipped: bad cbor>"
	}
	id, rpID := "<unknown>", "<unknown>"
	alone, err := ctapcbor.Marshal([]ctapcbor.RawMessage{entry})
	if err == nil {
		if owner, ok := ownerOf(alone, owners); ok {
			id, rpID = encodeBase64(owner.id), owner.rpID
		}
	}
	return fmt.Sprintf("%4d %4d %s %s", len(e.Ciphertext), e.OrigSize, id, rpID)
}

// parseBlobs decodes an array without its hash.
func parseBlobs(body []byte) (*ctap2.LargeBlobArray, error) {
	hash := sha256.Sum256(body)
	return ctap2.ParseLargeBlobArray(slices.Concat(body, hash[:blobHashLength]))
}

// ownerOf finds whose blob the only one of an array is.
func ownerOf(body []byte, owners []blobOwner) (blobOwner, bool) {
	array, err := parseBlobs(body)
	if err != nil {
		return blobOwner{}, false
	}
	for _, owner := range owners {
		if len(owner.key) != blobKeySize {
			continue
		}
		if _, found, err := array.Get(owner.key); found && err == nil {
			return owner, true
		}
	}
	return blobOwner{}, false
}
