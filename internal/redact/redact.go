// Package redact takes out of recorded messages what identifies a user, so that a recording can be shown to anybody:
//
//	recorded := ctaphid.Record(device, file, redact.New().Message)
//
// It knows what may stay and hides the rest: all byte strings and all texts that are no words of the protocol. What
// stays are the commands, the structure, lengths, numbers, statuses, and what tells the model of the key. What goes
// are relying parties, accounts, credentials, public keys, signatures, certificates, hashes, whatever is encrypted,
// the counters of signatures, and the contents of commands that this package does not know.
//
// The same bytes are replaced by the same others throughout a recording, and a hidden RP ID hashes to the hidden hash,
// so that a redacted recording replays up to signatures. The key of these pseudonyms is random and kept nowhere.
package redact

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	chacha "math/rand/v2"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
)

// A Redactor is for one recording. Its methods may not be called concurrently.
type Redactor struct {
	key    [32]byte
	words  map[string]bool       // what the key says about itself in texts
	hashes map[[32]byte][32]byte // from those of texts to those of their pseudonyms

	commands     map[uint32]ctap2.Command // the last request of each channel
	instructions map[uint32]byte          // the same for U2F
}

// maxMemory bounds what a key can make a Redactor remember.
const maxMemory = 4096

// New returns a Redactor with pseudonyms of its own.
func New() *Redactor {
	r := &Redactor{
		words:        make(map[string]bool),
		hashes:       make(map[[32]byte][32]byte),
		commands:     make(map[uint32]ctap2.Command),
		instructions: make(map[uint32]byte),
	}
	rand.Read(r.key[:]) // never fails
	return r
}

// Message redacts the data of a message in place.
func (r *Redactor) Message(m ctaphid.Message) {
	switch m.Command {
	case ctaphid.CommandInit, ctaphid.CommandWink, ctaphid.CommandLock, ctaphid.CommandCancel,
		ctaphid.CommandKeepalive, ctaphid.CommandError:
	case ctaphid.CommandCBOR:
		r.cbor(m)
	case ctaphid.CommandMsg:
		r.apdu(m)
	default:
		r.hide(m.Data)
	}
}

// hide replaces b. Zeros stay: they tell nothing, and a program may put them there for a reason.
func (r *Redactor) hide(b []byte) {
	if !isZero(b) {
		r.pseudonym(b).Read(b)
	}
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// pseudonym returns a stream of bytes that depends on b only.
func (r *Redactor) pseudonym(b []byte) *chacha.ChaCha8 {
	mac := hmac.New(sha256.New, r.key[:])
	mac.Write(b)
	return chacha.NewChaCha8([32]byte(mac.Sum(nil)))
}

// hideBytes replaces a byte string, the hash of a text that was seen by the hash of its pseudonym.
func (r *Redactor) hideBytes(b []byte) {
	if len(b) == sha256.Size {
		if hash, ok := r.hashes[[32]byte(b)]; ok {
			copy(b, hash[:])
			return
		}
	}
	r.hide(b)
}

// hideText replaces a text by letters unless it is a word of the protocol.
func (r *Redactor) hideText(b []byte) {
	if words[string(b)] || r.words[string(b)] {
		return
	}
	hash := sha256.Sum256(b)
	r.pseudonym(b).Read(b)
	for i := range b {
		b[i] = 'a' + b[i]%26
	}
	if len(r.hashes) < maxMemory {
		r.hashes[hash] = sha256.Sum256(b)
	}
}

// learn makes a text a word.
func (r *Redactor) learn(b []byte) {
	if len(r.words) < maxMemory {
		r.words[string(b)] = true
	}
}
