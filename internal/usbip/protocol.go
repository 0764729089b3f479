package usbip

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// headerSize is the size of every USB/IP message before its transfer data (struct usbip_header).
const headerSize = 48

// The commands of a USB/IP message.
const (
	commandSubmit = 1 // USBIP_CMD_SUBMIT
	commandUnlink = 2 // USBIP_CMD_UNLINK
	replySubmit   = 3 // USBIP_RET_SUBMIT
	replyUnlink   = 4 // USBIP_RET_UNLINK
)

// Transfer states are Linux error numbers on every machine.
const (
	statusStall    = -32  // -EPIPE
	statusUnlinked = -104 // -ECONNRESET
)

// The only endpoint besides the control endpoint 0, one interrupt pipe in each direction.
const interruptEndpoint = 1

// maxTransfer bounds what a host may send in one transfer. hidraw stops at 16 KiB, a control transfer at 64 KiB.
const maxTransfer = 1 << 16

// request is the header of a message from the host.
type request struct {
	command  uint32
	seq      uint32
	in       bool // device to host
	endpoint uint32
	length   int     // submit: size of the host's buffer, or of the data that follows
	setup    [8]byte // submit on endpoint 0: the control request
	victim   uint32  // unlink: seq of the submit to forget
}

// transfer is a submitted interrupt transfer that waits for its answer.
type transfer struct {
	seq    uint32
	length int    // in: size of the host's buffer
	data   []byte // out: the report
}

func parseRequest(b *[headerSize]byte) (request, error) {
	be := binary.BigEndian
	r := request{
		command:  be.Uint32(b[0:]),
		seq:      be.Uint32(b[4:]),
		in:       be.Uint32(b[12:]) == 1, // b[8:12] is the device, of which there is one
		endpoint: be.Uint32(b[16:]),
	}
	switch r.command {
	case commandSubmit:
		if n := be.Uint32(b[24:]); n > maxTransfer {
			return request{}, fmt.Errorf("usbip: transfer of %d bytes", n)
		}
		r.length = int(be.Uint32(b[24:]))
		r.setup = [8]byte(b[40:])
	case commandUnlink:
		r.victim = be.Uint32(b[20:])
	default:
		return request{}, fmt.Errorf("usbip: unknown command %#x", r.command)
	}
	return r, nil
}

// serve answers the host until the connection ends. Only transfers on the interrupt endpoint wait for Read and Write.
func (d *Device) serve() error {
	var header [headerSize]byte
	for {
		if _, err := io.ReadFull(d.conn, header[:]); err != nil {
			return d.gone()
		}
		r, err := parseRequest(&header)
		if err != nil {
			return err
		}
		var data []byte
		if r.command == commandSubmit && !r.in {
			data = make([]byte, r.length)
			if _, err := io.ReadFull(d.conn, data); err != nil {
				return d.gone()
			}
		}
		if err := d.handle(r, data); err != nil {
			return err
		}
	}
}

func (d *Device) handle(r request, data []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case r.command == commandUnlink:
		return d.unlink(r)
	case r.endpoint == 0:
		return d.control(r)
	case r.endpoint != interruptEndpoint, len(data) > ReportSize:
		return d.answer(r.seq, statusStall, 0, nil)
	case r.in:
		return d.enqueue(&d.in, transfer{seq: r.seq, length: r.length})
	default:
		return d.enqueue(&d.out, transfer{seq: r.seq, data: data})
	}
}

func (d *Device) enqueue(queue *[]transfer, t transfer) error {
	if len(*queue) == maxPending {
		return fmt.Errorf("usbip: more than %d transfers in flight", maxPending)
	}
	*queue = append(*queue, t)
	d.changed.Broadcast()
	return nil
}

func (d *Device) control(r request) error {
	data, ok := d.config.control(r.setup)
	if !ok {
		return d.answer(r.seq, statusStall, 0, nil)
	}
	if !r.in {
		return d.answer(r.seq, 0, r.length, nil)
	}
	data = data[:min(len(data), r.length)]
	return d.answer(r.seq, 0, len(data), data)
}

// unlink forgets a transfer. One that is not found has been answered already, which status 0 says.
func (d *Device) unlink(r request) error {
	var status int32
	for _, queue := range []*[]transfer{&d.in, &d.out} {
		if i := slices.IndexFunc(*queue, func(t transfer) bool { return t.seq == r.victim }); i >= 0 {
			*queue = slices.Delete(*queue, i, i+1)
			status = statusUnlinked
		}
	}
	return d.write(reply(replyUnlink, r.seq, status, 0))
}

// answer completes the submitted transfer seq. It is called under the lock that the transfer was taken from its queue
// with: the kernel drops the connection when the answer to an unlink overtakes that to the transfer.
func (d *Device) answer(seq uint32, status int32, length int, data []byte) error {
	return d.write(append(reply(replySubmit, seq, status, length), data...))
}

func (d *Device) write(message []byte) error {
	if _, err := d.conn.Write(message); err != nil {
		return d.gone()
	}
	return nil
}

func reply(command, seq uint32, status int32, length int) []byte {
	b := make([]byte, headerSize, headerSize+ReportSize)
	be := binary.BigEndian
	be.PutUint32(b[0:], command)
	be.PutUint32(b[4:], seq)
	be.PutUint32(b[20:], uint32(status))
	be.PutUint32(b[24:], uint32(length)) // submit only; an unlink has no length
	return b
}
