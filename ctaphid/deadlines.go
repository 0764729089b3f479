package ctaphid

import (
	"cmp"
	"time"
)

// Deadlines say how long a device may take. A zero member means its default. A device that does not keep one gets an error
// that wraps [ErrTimeout]; whatever it does, a transaction ends soon after its context: after Cancel and Resync, or twice
// Cancel if the device does not even take reports and can be closed.
type Deadlines struct {
	Init   time.Duration // 3 s: for the answer to INIT
	Reply  time.Duration // 5 s: for the first packet of an answer, or the next keepalive; noticed after twice that at the latest
	Packet time.Duration // 2 s: for the next packet of an answer that has begun; noticed after twice that at the latest
	Write  time.Duration // 5 s: for the device to take a message, and 100 ms more for each report; then the device is closed
	Total  time.Duration // 5 min: for an answer, however many keepalives arrive
	Cancel time.Duration // 500 ms: for the answer to a request that was cancelled
	Resync time.Duration // 500 ms: for the answer to the INIT after a request that was abandoned
}

func (d Deadlines) orDefaults() Deadlines {
	return Deadlines{
		Init:   cmp.Or(d.Init, 3*time.Second),
		Reply:  cmp.Or(d.Reply, 5*time.Second),
		Packet: cmp.Or(d.Packet, 2*time.Second),
		Write:  cmp.Or(d.Write, 5*time.Second),
		Total:  cmp.Or(d.Total, 5*time.Minute),
		Cancel: cmp.Or(d.Cancel, 500*time.Millisecond),
		Resync: cmp.Or(d.Resync, 500*time.Millisecond),
	}
}

// How long a request to a busy device waits before it is repeated, doubled each time.
const (
	minBackOff = 20 * time.Millisecond
	maxBackOff = 320 * time.Millisecond
)

// reportTime is what each report of a long message adds to Deadlines.Write.
const reportTime = 100 * time.Millisecond
