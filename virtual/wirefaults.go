package virtual

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/keyfob-go/keyfob/ctaphid"
)

// Faults of one report, and of what follows it in the answer.
var (
	Silence          Fault = silence          // neither it nor the rest comes
	Lost             Fault = lost             // it does not come
	Twice            Fault = twice            // it comes twice
	Late             Fault = late             // it and the rest come when the platform sends the next message
	KeepaliveForever Fault = keepaliveForever // keepalives come in its place, until the platform sends the next message
	KeepaliveFlood   Fault = keepaliveFlood   // hundreds of keepalives come first, of all statuses
	ForeignFrames    Fault = foreignFrames    // frames for other channels come first, and after it
	ForeignForever   Fault = foreignForever   // only frames for other channels come, until the platform sends the next message
	StrayMessage     Fault = strayMessage     // a message that nobody asked for comes first
	StrayPacket      Fault = strayPacket      // a continuation packet comes first
	WrongCommand     Fault = wrongCommand     // it answers another command
	WrongSequence    Fault = wrongSequence    // a continuation packet has the number of the next one; an initialization packet becomes one
	WrongChannel     Fault = wrongChannel     // it goes to a channel that is nobody's
	Empty            Fault = empty            // the answer has no data
	EmptyError       Fault = emptyError       // an error comes in place of the answer, without a code
	TooLong          Fault = tooLong          // the answer is longer than any message can be
	ShortReport      Fault = shortReport      // it has 63 bytes
	LongReport       Fault = longReport       // it has 65 bytes
	EmptyReport      Fault = emptyReport      // it has none
	Unplugged        Fault = unplugged        // the key is pulled
)

// Faults of the answer to INIT, which do nothing to others.
var (
	WrongNonce      Fault = inInit(func(b []byte) []byte { b[0] ^= 1; return b })                              // for another platform
	ShortInit       Fault = inInit(func(b []byte) []byte { return b[:16] })                                    // no capabilities
	ReservedChannel Fault = inInit(func(b []byte) []byte { clear(b[8:12]); return b })                         // channel 0
	BroadcastOnly   Fault = inInit(func(b []byte) []byte { copy(b[8:], "\xff\xff\xff\xff"); return b })        // the broadcast channel
	OtherChannel    Fault = inInit(func(b []byte) []byte { b[8] ^= 1; return b })                              // one that the key doesn't know
	LongInit        Fault = inInit(func(b []byte) []byte { return slices.Concat(b, make([]byte, 57-len(b))) }) // with members of the future
)

// Delay returns the fault that the report and the rest of the answer come so much later.
func Delay(d time.Duration) Fault {
	return func(r *Report) {
		r.Wait(d)
		r.Send(r.Data)
	}
}

// Failure returns the fault that an error comes in place of the answer, after the key did what it was asked for.
func Failure(code ctaphid.Error) Fault {
	return func(r *Report) { r.sendMessage(r.cid(), ctaphid.CommandError, []byte{byte(code)}) }
}

const (
	floodSize      = 500 // reports, which any reader's queue can take
	floodInterval  = 10 * time.Millisecond
	foreignCID     = 0x0badc0de
	lastSequence   = 0x7f
	unknownCommand = ctaphid.Command(0x7e)
)

func silence(r *Report) { r.End() }

func lost(*Report) {}

func twice(r *Report) {
	r.Send(r.Data)
	r.Send(r.Data)
}

func late(r *Report) {
	r.Hold()
	r.Send(r.Data)
}

func keepaliveForever(r *Report) {
	r.Repeat(keepaliveInterval, frame(r.cid(), ctaphid.CommandKeepalive, []byte{ctaphid.KeepaliveUPNeeded}))
	r.End()
}

func keepaliveFlood(r *Report) {
	for i := range floodSize {
		r.Send(frame(r.cid(), ctaphid.CommandKeepalive, []byte{byte(i)}))
	}
	r.Send(r.Data)
}

func foreignFrames(r *Report) {
	r.sendForeign()
	r.Send(r.Data)
	r.sendForeign()
}

// sendForeign sends what looks as much as possible like the end of the answer, for others.
func (r *Report) sendForeign() {
	for _, cid := range []uint32{foreignCID, 0, r.cid() ^ 1} {
		other := slices.Clone(r.Data)
		binary.BigEndian.PutUint32(other, cid)
		r.Send(other)
		r.Send(frame(cid, ctaphid.CommandError, []byte{byte(ctaphid.ErrOther)}))
		r.Send(frame(cid, ctaphid.CommandKeepalive, []byte{ctaphid.KeepaliveUPNeeded}))
	}
}

func foreignForever(r *Report) {
	r.Repeat(floodInterval, frame(foreignCID, ctaphid.CommandKeepalive, []byte{ctaphid.KeepaliveUPNeeded}))
	r.End()
}

func strayMessage(r *Report) {
	r.Send(frame(r.cid(), ctaphid.CommandPing, []byte("nobody asked")))
	r.Send(r.Data)
}

func strayPacket(r *Report) {
	p := make([]byte, reportSize)
	binary.BigEndian.PutUint32(p, r.cid())
	r.Send(p)
	r.Send(r.Data)
}

func wrongCommand(r *Report) {
	if r.isFirst() {
		r.Data[4] = byte(unknownCommand) | initBit
	}
	r.Send(r.Data)
}

func wrongSequence(r *Report) {
	r.Data[4] = (r.Data[4] + 1) & lastSequence
	r.Send(r.Data)
}

func wrongChannel(r *Report) {
	binary.BigEndian.PutUint32(r.Data, foreignCID)
	r.Send(r.Data)
}

func empty(r *Report) { r.sendMessage(r.cid(), r.Request, nil) }

func emptyError(r *Report) { r.sendMessage(r.cid(), ctaphid.CommandError, nil) }

func tooLong(r *Report) {
	if r.isFirst() {
		binary.BigEndian.PutUint16(r.Data[5:], maxPayload+1)
	}
	r.Send(r.Data)
}

func shortReport(r *Report) { r.Send(r.Data[:reportSize-1]) }

func longReport(r *Report) { r.Send(append(r.Data, 0)) }

func emptyReport(r *Report) { r.Send([]byte{}) }

func unplugged(r *Report) { r.Unplug() }

// inInit returns a fault that changes the 17 bytes of an answer to INIT.
func inInit(change func(payload []byte) []byte) Fault {
	const size = nonceSize + 4 + 5
	return func(r *Report) {
		if r.Request == ctaphid.CommandInit && r.isFirst() && int(binary.BigEndian.Uint16(r.Data[5:])) == size {
			r.Data = frame(r.cid(), ctaphid.CommandInit, change(r.Data[initHeaderSize:][:size]))
		}
		r.Send(r.Data)
	}
}

func (r *Report) cid() uint32 { return binary.BigEndian.Uint32(r.Data) }

func (r *Report) isFirst() bool { return r.Data[4]&initBit != 0 }

// sendMessage sends a message of one report in place of what is left of the answer.
func (r *Report) sendMessage(cid uint32, cmd ctaphid.Command, payload []byte) {
	r.Send(frame(cid, cmd, payload))
	r.End()
}
