package virtual

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// state is what survives a power cycle. It is never changed in place: see [Authenticator.update].
type state struct {
	Version     int               `json:"version"`
	Preset      Preset            `json:"preset,omitempty"`
	Secret      []byte            `json:"secret"` // 32 bytes, the root of all that is derived
	SignCount   uint32            `json:"signCount"`
	PINHash     []byte            `json:"pinHash,omitempty"`   // LEFT(SHA-256(PIN), 16), nil without a PIN
	PINLength   int               `json:"pinLength,omitempty"` // code points; 0 in states that did not record it
	PINRetries  int               `json:"pinRetries"`
	UVRetries   int               `json:"uvRetries"`
	Credentials []*credential     `json:"credentials"`          // the oldest first; none is ever changed
	LargeBlobs  []byte            `json:"largeBlobs,omitempty"` // serialized, with its hash; nil for an empty array
	Attestation *attestationChain `json:"attestation,omitempty"`

	ForcePINChange bool           `json:"forcePINChange,omitempty"`
	PINChanges     uint64         `json:"pinChanges,omitempty"`   // each makes another persistent token
	StoreChanges   uint64         `json:"storeChanges,omitempty"` // each makes another credStoreState
	UVCount        uint64         `json:"uvCount,omitempty"`      // verifications since the PIN was last entered
	Fingerprints   []*fingerprint `json:"fingerprints,omitempty"` // none is ever changed
	Settings       settings       `json:"settings,omitzero"`

	// What follows from the secret, once it was needed. A changed copy has the same.
	aead      cipher.AEAD // see sealer
	opened    *credential // see open; nil for none
	openedFor [sha256.Size]byte
}

// settings are what authenticatorConfig has changed. The zero value is a new key's.
type settings struct {
	EnterpriseAttestation bool     `json:"enterpriseAttestation,omitempty"`
	ToggledAlwaysUV       bool     `json:"toggledAlwaysUv,omitempty"` // from what the configuration says
	LongTouchForReset     bool     `json:"longTouchForReset,omitempty"`
	MinPINLength          int      `json:"minPINLength,omitempty"` // code points; 0 leaves it to the configuration
	MinPINLengthRPIDs     []string `json:"minPinLengthRPIDs,omitempty"`
	PINComplexity         bool     `json:"pinComplexityPolicy,omitempty"`
}

const (
	stateVersion   = 1
	secretSize     = 32
	pinHashSize    = 16
	identifierSize = 16
	maxStateBytes  = 64 << 20
)

// firstState is that of a key that nobody has used yet: with a PIN, if it is sold with one.
func firstState(c *Config) *state {
	s := newState(c)
	if len(c.PIN.Initial) > 0 {
		s.setPIN(c.PIN.Initial)
		s.ForcePINChange = c.PIN.ForceChange
	}
	return s
}

// newState is that of a key after a reset.
func newState(c *Config) *state {
	s := &state{
		Version:     stateVersion,
		Preset:      c.preset,
		Secret:      make([]byte, secretSize),
		PINRetries:  c.PIN.Retries,
		UVRetries:   c.UVRetries,
		Credentials: []*credential{},
	}
	rand.Read(s.Secret)
	return s
}

func (s *state) clone() *state {
	next := *s
	next.Fingerprints = slices.Clone(s.Fingerprints)
	return &next
}

// persistentToken is the persistentPinUvAuthToken.
func (s *state) persistentToken() []byte {
	return s.derive(fmt.Sprint("persistent token ", s.PINChanges))
}

// identifier is what encIdentifier hides: it names the key until the next reset.
func (s *state) identifier() []byte { return s.derive("identifier")[:identifierSize] }

// credStoreState is what encCredStoreState hides: another one after each change to the stored credentials.
func (s *state) credStoreState() []byte {
	return s.derive(fmt.Sprint("credential store ", s.StoreChanges))[:identifierSize]
}

// update makes a change that survives a power cycle: either it is on the disk and holds, or nothing has changed.
func (a *Authenticator) update(change func(s *state)) error {
	next := a.state.clone()
	change(next)
	if err := saveState(a.config.StateFile, next); err != nil {
		return err
	}
	a.state = next
	return nil
}

// loadState returns a new state when there is no file yet, and saves it at once: a key that cannot keep anything is
// of no use.
func loadState(c *Config) (*state, error) {
	if c.StateFile == "" {
		return firstState(c), nil
	}
	s, err := readState(c.StateFile)
	if errors.Is(err, fs.ErrNotExist) {
		s = firstState(c)
		err = saveState(c.StateFile, s)
	}
	return s, err
}

func readState(path string) (*state, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxStateBytes+1))
	if err != nil {
		return nil, err
	}
	s, err := parseState(b)
	if err != nil {
		return nil, fmt.Errorf("state file %s is corrupt: %w", path, err)
	}
	return s, nil
}

func parseState(b []byte) (*state, error) {
	if len(b) > maxStateBytes {
		return nil, errors.New("too long")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	s := new(state)
	if err := d.Decode(s); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("more than one value")
	}
	return s, s.check()
}

// check finds what this package would never have written.
func (s *state) check() error {
	switch {
	case s.Version != stateVersion:
		return fmt.Errorf("version %d, want %d", s.Version, stateVersion)
	case len(s.Secret) != secretSize:
		return errors.New("secret of the wrong size")
	case s.PINHash != nil && len(s.PINHash) != pinHashSize:
		return errors.New("PIN hash of the wrong size")
	case s.PINRetries < 0 || s.PINRetries > maxPINRetries || s.UVRetries < 0 || s.UVRetries > maxUVRetries:
		return errors.New("retries out of range")
	case s.Settings.MinPINLength < 0 || s.Settings.MinPINLength > maxPINLength:
		return errors.New("minimum PIN length out of range")
	}
	for i, f := range s.Fingerprints {
		if f == nil || len(f.ID) == 0 {
			return fmt.Errorf("fingerprint %d: no ID", i)
		}
	}
	for i, c := range s.Credentials {
		if err := c.check(); err != nil {
			return fmt.Errorf("credential %d: %w", i, err)
		}
	}
	if s.Attestation != nil {
		return s.Attestation.check()
	}
	return nil
}

func (c *credential) check() error {
	if c == nil || len(c.ID) != storedIDSize || c.CredProtect > 3 {
		return errors.New("missing or with members of the wrong size")
	}
	_, err := parseSigner(c.Algorithm, c.PrivateKey)
	return err
}

// saveState replaces the file in one step: after a crash it holds the old state or the new one.
func saveState(path string, s *state) error {
	if path == "" {
		return nil
	}
	b, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".tmp*") // mode 0600
	if err != nil {
		return err
	}
	err = writeAndSync(f, append(b, '\n'))
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	syncDir(dir)
	return nil
}

func writeAndSync(f *os.File, b []byte) error {
	_, err := f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncDir makes a rename last. Not every system can do it, so an error means nothing.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		d.Sync()
		d.Close()
	}
}
