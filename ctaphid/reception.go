package ctaphid

import "fmt"

// reception is an answer while the reader collects it. The Channel's mutex guards it until it is done; from then on it
// belongs to the transaction.
type reception struct {
	message
	cid    uint32
	accept func(*message) bool // nil wants any message; one that is not accepted is dropped, as is what fits none

	statuses []byte // keepalives that were not passed on yet, without repetitions
	last     byte   // the last of all keepalives
	progress bool   // something arrived since the last look
	done     bool   // message is complete, or err is set; what arrives now is dropped
	err      error
}

// maxStatuses is how many changes of the keepalive status may wait to be passed on.
const maxStatuses = 16

// take adds one report and says whether the transaction has to look.
func (in *reception) take(report []byte, size int) (news bool) {
	switch {
	case in.done:
		return false
	case len(report) != size:
		return in.finish(fmt.Errorf("%w: report of %d bytes instead of %d", ErrProtocol, len(report), size))
	case packetCID(report) != in.cid:
		return false
	}
	in.progress = true
	if status, ok := isKeepalive(report); ok {
		return in.heard(status)
	}
	if in.accept != nil {
		return in.search(report)
	}
	complete, err := in.add(report)
	return (complete || err != nil) && in.finish(err)
}

func (in *reception) finish(err error) bool {
	in.done, in.err = true, err
	return true
}

func (in *reception) heard(status byte) (news bool) {
	if status == in.last || len(in.statuses) >= maxStatuses {
		return false
	}
	in.last = status
	in.statuses = append(in.statuses, status)
	return true
}

// search adds one report amid the remains of answers that nobody waits for.
func (in *reception) search(report []byte) (news bool) {
	if report[4]&initBit != 0 {
		in.open = false
	}
	complete, err := in.add(report)
	if err != nil {
		in.open = false
	}
	return complete && in.accept(&in.message) && in.finish(nil)
}

// news is what a transaction has to know of a reception.
type news struct {
	statuses             []byte
	progress, open, done bool
	err                  error
}

// news takes what is new of in.
func (c *Channel) news(in *reception) news {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := news{in.statuses, in.progress, in.open, in.done, in.err}
	in.statuses, in.progress = nil, false
	return n
}

// deviceError is the error of a complete ERROR message.
func (m *message) deviceError() error {
	if len(m.data) == 0 {
		return fmt.Errorf("%w: error without a code", ErrProtocol)
	}
	return Error(m.data[0])
}
