package virtual

import (
	"bytes"
	"time"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
)

// Faults are what a key does wrong, for tests of programs that have to survive it. The zero value does nothing
// wrong. No fault touches what the key stores: when it is over, the key is as good as before.
type Faults struct {
	// Answer, unless nil, makes the answers to CTAP2 and U2F commands. The request is a command byte with its
	// parameters, or an APDU; run has the key run it, and returns its answer, a status byte with members, or data
	// with a status word. Answer may change that, or not call run at all. It is the one fault that also works
	// without CTAPHID, and must be safe for concurrent use if the key is used concurrently then.
	Answer func(cmd ctaphid.Command, request []byte, run func() []byte) []byte

	// Refuse, unless nil, is asked about each message when its first packet arrives, CANCEL excepted. Unless it
	// returns 0, that error is the answer, and the key does nothing else. The transaction is that of [Report].
	Refuse func(transaction int, cmd ctaphid.Command) ctaphid.Error

	// Report, unless nil, decides about each report that the key is about to send.
	Report Fault

	// IgnoreCancel makes the key go on when a platform cancels.
	IgnoreCancel bool

	// What keys of the past and careless ones have done with credentials:

	RefuseSilent           bool // UP_REQUIRED for an assertion without a touch
	AlwaysUVInSilence      bool // option alwaysUv holds for an assertion without a touch as well
	RefuseExtensions       bool // UNSUPPORTED_EXTENSION for any extension
	RefuseEmptyDisplayName bool // MISSING_PARAMETER for a new credential whose user has no display name
	InvalidCredential      bool // INVALID_CREDENTIAL when there is none of the allow list, instead of NO_CREDENTIALS
	IgnoreU2F              bool // what was registered over U2F is unknown to CTAP2
	EnterpriseUnasked      bool // an attestation that tells this key from others for everybody
	EmptyLists             bool // a list of no relying parties is a total of 0 instead of NO_CREDENTIALS
	CutCharacters          bool // names are cut after 64 bytes, even in the middle of a character

	OmitCredential     bool   // assertions never say with which credential
	OmitSoleCredential bool   // assertions do not say it where the allow list has one entry, as CTAP 2.0 permits
	OmitUser           bool   // assertions never say whose credential it is
	AttestAssertions   bool   // attested credential data in assertions too
	ExtraExtension     string // the identifier of an extension that answers true although nobody asked; empty for none

	ClearFlags   ctap2.Flags // in authenticator data, before it is signed
	BadSignature bool        // signatures of assertions and of attestations in format packed do not verify
}

// A Fault does something with a report that the key is about to send, in place of sending it. It must not call the
// key's methods. This package has many, which do their worst to any report they get; use [At] to choose one, or
// write another:
//
//	func(r *virtual.Report) {
//		if r.Request == ctaphid.CommandCBOR && r.Index == 1 {
//			r.Wait(time.Second)
//		}
//		r.Send(r.Data)
//	}
type Fault func(r *Report)

// Report is a report on its way out.
type Report struct {
	Transaction int             // the message from a platform that it answers, counted from 0 for the first; CANCEL does not count
	Request     ctaphid.Command // of that message
	Index       int             // in the answer, from 0; keepalives count
	Data        []byte          // 64 bytes, which the fault may change

	steps []step
	ended bool
}

// At returns the fault that f is at one report of one transaction, and that is none elsewhere.
func At(transaction, index int, f Fault) Fault {
	return func(r *Report) {
		if r.Transaction == transaction && r.Index == index {
			f(r)
			return
		}
		r.Send(r.Data)
	}
}

// Send sends a copy of p, which may have any size: that of a real report is 64 bytes.
func (r *Report) Send(p []byte) { r.steps = append(r.steps, step{data: bytes.Clone(p)}) }

// Wait lets time pass before what follows in this answer, later reports included.
func (r *Report) Wait(d time.Duration) { r.steps = append(r.steps, step{wait: d}) }

// Hold keeps back what follows in this answer until a platform sends the next message other than CANCEL. It goes
// out before the answer to that.
func (r *Report) Hold() { r.steps = append(r.steps, step{endless: true}) }

// Repeat sends a copy of p at once and again after each interval, until a platform sends the next message other
// than CANCEL.
func (r *Report) Repeat(interval time.Duration, p []byte) {
	r.steps = append(r.steps, step{endless: true, data: bytes.Clone(p), wait: interval})
}

// End drops the rest of the answer.
func (r *Report) End() { r.ended = true }

// Unplug pulls the key for good: everything that [Authenticator.Device] opened is closed.
func (r *Report) Unplug() { r.steps = append(r.steps, step{unplug: true}) }
