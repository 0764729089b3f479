package usbip

import (
	"bytes"
	"encoding/binary"
	"io"
	"io/fs"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// host is the kernel's side of a connection, spoken by hand.
type host struct {
	t    *testing.T
	conn net.Conn
	seq  uint32
}

// plugIn runs test in a bubble, with a device attached to an in-memory host.
func plugIn(t *testing.T, test func(t *testing.T, d *Device, h *host)) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		d := newDevice(Config{Product: "Test key"}, theirs)
		defer d.Close()
		test(t, d, &host{t: t, conn: ours})
	})
}

func (h *host) send(r request, data []byte) uint32 {
	h.t.Helper()
	h.seq++
	r.seq = h.seq
	_, err := h.conn.Write(append(encodeRequest(r), data...))
	require.NoError(h.t, err)
	return r.seq
}

func (h *host) submitIn() uint32 {
	return h.send(request{command: commandSubmit, in: true, endpoint: interruptEndpoint, length: ReportSize}, nil)
}

func (h *host) submitOut(data []byte) uint32 {
	return h.send(request{command: commandSubmit, endpoint: interruptEndpoint, length: len(data)}, data)
}

func (h *host) unlink(victim uint32) uint32 {
	return h.send(request{command: commandUnlink, victim: victim}, nil)
}

// answered is what the host learns about one of its requests.
type answered struct {
	command, seq   uint32
	status, length int32
}

func (h *host) receive() answered {
	h.t.Helper()
	var b [headerSize]byte
	_, err := io.ReadFull(h.conn, b[:])
	require.NoError(h.t, err)
	be := binary.BigEndian
	return answered{be.Uint32(b[0:]), be.Uint32(b[4:]), int32(be.Uint32(b[20:])), int32(be.Uint32(b[24:]))}
}

func (h *host) receiveData(n int) []byte {
	h.t.Helper()
	b := make([]byte, n)
	_, err := io.ReadFull(h.conn, b)
	require.NoError(h.t, err)
	return b
}

func encodeRequest(r request) []byte {
	be := binary.BigEndian
	b := make([]byte, headerSize)
	be.PutUint32(b[0:], r.command)
	be.PutUint32(b[4:], r.seq)
	if r.in {
		be.PutUint32(b[12:], 1)
	}
	be.PutUint32(b[16:], r.endpoint)
	be.PutUint32(b[20:], r.victim)
	be.PutUint32(b[24:], uint32(r.length))
	copy(b[40:], r.setup[:])
	return b
}

func report(fill byte) []byte { return bytes.Repeat([]byte{fill}, ReportSize) }

func TestHostWriteCompletesWhenTheDeviceReads(t *testing.T) {
	t.Parallel()
	plugIn(t, func(t *testing.T, d *Device, h *host) {
		seq := h.submitOut(report(7))
		answers := make(chan answered, 1)
		go func() { answers <- h.receive() }()
		synctest.Wait()
		require.Empty(t, answers, "the write has completed although nobody has read")

		got := make([]byte, ReportSize)
		n, err := d.Read(got)
		require.NoError(t, err)
		require.Equal(t, report(7), got[:n])
		require.Equal(t, answered{replySubmit, seq, 0, ReportSize}, <-answers)
	})
}

func TestDeviceWriteCompletesWhenTheHostAsks(t *testing.T) {
	t.Parallel()
	plugIn(t, func(t *testing.T, d *Device, h *host) {
		written := make(chan error, 1)
		go func() {
			_, err := d.Write(report(9))
			written <- err
		}()
		synctest.Wait()
		require.Empty(t, written, "the write has completed although nobody has asked")

		seq := h.submitIn()
		require.Equal(t, answered{replySubmit, seq, 0, ReportSize}, h.receive())
		require.Equal(t, report(9), h.receiveData(ReportSize))
		require.NoError(t, <-written)
	})
}

func TestShortBufferLosesNothing(t *testing.T) {
	t.Parallel()
	plugIn(t, func(t *testing.T, d *Device, h *host) {
		h.submitOut(report(1))
		_, err := d.Read(make([]byte, ReportSize-1))
		require.ErrorIs(t, err, io.ErrShortBuffer)

		go h.receive()
		n, err := d.Read(make([]byte, ReportSize))
		require.NoError(t, err)
		require.Equal(t, ReportSize, n)
	})
}

func TestReportsThatDoNotFitAreRefused(t *testing.T) {
	t.Parallel()
	plugIn(t, func(t *testing.T, d *Device, h *host) {
		seq := h.submitOut(make([]byte, ReportSize+1))
		require.Equal(t, answered{replySubmit, seq, statusStall, 0}, h.receive())

		_, err := d.Write(make([]byte, ReportSize+1))
		require.ErrorContains(t, err, "65 bytes is too long")

		h.send(request{command: commandSubmit, in: true, endpoint: interruptEndpoint, length: 8}, nil)
		_, err = d.Write(report(1))
		require.ErrorContains(t, err, "the host asks for 8")
	})
}

func TestUnlinkedTransfersAreForgotten(t *testing.T) {
	t.Parallel()
	plugIn(t, func(t *testing.T, d *Device, h *host) {
		for _, seq := range []uint32{h.submitIn(), h.submitOut(report(1))} {
			require.Equal(t, answered{replyUnlink, h.unlink(seq), statusUnlinked, 0}, h.receive())
			require.Equal(t, answered{replyUnlink, h.unlink(seq), 0, 0}, h.receive(), "the second time")
		}

		seq := h.submitOut(report(2))
		go h.receive()
		got := make([]byte, ReportSize)
		_, err := d.Read(got)
		require.NoError(t, err)
		require.Equal(t, report(2), got, "after the forgotten transfer %d comes %d", seq-3, seq)
	})
}

func TestControlTransferIsCutToTheHostsBuffer(t *testing.T) {
	t.Parallel()
	plugIn(t, func(t *testing.T, d *Device, h *host) {
		getDevice := [8]byte{0x80, requestGetDescriptor, 0, descriptorDevice, 0, 0, 8, 0}
		seq := h.send(request{command: commandSubmit, in: true, length: 8, setup: getDevice}, nil)
		require.Equal(t, answered{replySubmit, seq, 0, 8}, h.receive())
		require.Equal(t, d.config.device()[:8], h.receiveData(8))

		seq = h.send(request{command: commandSubmit, setup: [8]byte{0x21, requestSetIdle}}, nil)
		require.Equal(t, answered{replySubmit, seq, 0, 0}, h.receive())

		seq = h.send(request{command: commandSubmit, in: true, length: 8, setup: [8]byte{0xc0, 1}}, nil)
		require.Equal(t, answered{replySubmit, seq, statusStall, 0}, h.receive(), "vendor request")

		seq = h.send(request{command: commandSubmit, in: true, endpoint: 2, length: 8}, nil)
		require.Equal(t, answered{replySubmit, seq, statusStall, 0}, h.receive(), "endpoint that is not there")
	})
}

// moves are the two calls that wait for the host.
func moves(d *Device) map[string]func() error {
	return map[string]func() error{
		"read":  func() error { _, err := d.Read(make([]byte, ReportSize)); return err },
		"write": func() error { _, err := d.Write(report(0)); return err },
	}
}

func TestCloseUnblocksEverything(t *testing.T) {
	t.Parallel()
	plugIn(t, func(t *testing.T, d *Device, h *host) {
		ended := make(chan error)
		for _, move := range moves(d) {
			go func() { ended <- move() }()
		}
		synctest.Wait()
		require.NoError(t, d.Close())
		require.ErrorIs(t, <-ended, fs.ErrClosed)
		require.ErrorIs(t, <-ended, fs.ErrClosed)
		_, err := h.conn.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)

		require.NoError(t, d.Close(), "a second time")
		for name, move := range moves(d) {
			require.ErrorIs(t, move(), fs.ErrClosed, name)
		}
	})
}

func TestCloseInterruptsAnAnswer(t *testing.T) {
	t.Parallel()
	plugIn(t, func(t *testing.T, d *Device, h *host) {
		h.submitOut(report(1))
		ended := make(chan error)
		go func() { ended <- moves(d)["read"]() }() // blocks in the answer: the host does not receive it
		synctest.Wait()
		require.NoError(t, d.Close())
		require.ErrorIs(t, <-ended, fs.ErrClosed)
	})
}

func TestHostThatGoesAwayIsTheEnd(t *testing.T) {
	t.Parallel()
	plugIn(t, func(t *testing.T, d *Device, h *host) {
		ended := make(chan error)
		for _, move := range moves(d) {
			go func() { ended <- move() }()
		}
		synctest.Wait()
		h.conn.Close()
		require.ErrorIs(t, <-ended, io.EOF)
		require.ErrorIs(t, <-ended, io.EOF)
	})
}

func TestHostThatBreaksTheProtocolIsDropped(t *testing.T) {
	t.Parallel()
	flood := bytes.Repeat(encodeRequest(request{command: commandSubmit, in: true, endpoint: interruptEndpoint}), maxPending+1)
	for name, c := range map[string]struct {
		sent []byte
		want string
	}{
		"unknown command":     {encodeRequest(request{command: 5}), "unknown command 0x5"},
		"transfer of 2^32-1":  {encodeRequest(request{command: commandSubmit, length: -1}), "transfer of 4294967295 bytes"},
		"too many in flight":  {flood, "more than 64 transfers"},
		"ends in the header":  {make([]byte, headerSize-1), "EOF"},
		"ends in a transfer":  {encodeRequest(request{command: commandSubmit, length: 8}), "EOF"},
		"ends before it asks": {nil, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ours, theirs := net.Pipe()
			d := newDevice(Config{}, theirs)
			defer d.Close()
			_, err := ours.Write(c.sent)
			require.NoError(t, err)
			ours.Close()
			require.ErrorContains(t, moves(d)["read"](), c.want)
		})
	}
}

// FuzzServe is a host that says anything. Whatever it is, the device ends with the connection.
func FuzzServe(f *testing.F) {
	f.Add(encodeRequest(request{command: commandSubmit, in: true, endpoint: interruptEndpoint, length: ReportSize}))
	f.Add(append(encodeRequest(request{command: commandSubmit, endpoint: interruptEndpoint, length: 3}), 1, 2, 3))
	f.Add(encodeRequest(request{command: commandSubmit, in: true, length: 255, setup: [8]byte{0x80, 6, 2, 3}}))
	f.Add(encodeRequest(request{command: commandUnlink, seq: 2, victim: 1}))
	f.Fuzz(func(t *testing.T, sent []byte) {
		d := newDevice(Config{}, &scriptedHost{Reader: bytes.NewReader(sent)})
		var ended sync.WaitGroup
		for _, move := range moves(d) {
			ended.Go(func() {
				for move() == nil {
				}
			})
		}
		ended.Wait()
		require.NoError(t, d.Close())
	})
}

// scriptedHost says what it has to say and takes every answer.
type scriptedHost struct{ io.Reader }

func (*scriptedHost) Write(p []byte) (int, error) { return len(p), nil }
func (*scriptedHost) Close() error                { return nil }

func FuzzParseRequest(f *testing.F) {
	f.Add(encodeRequest(request{command: commandSubmit, seq: 1, in: true, endpoint: 1, length: ReportSize}))
	f.Add(encodeRequest(request{command: commandUnlink, seq: 2, victim: 1}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < headerSize {
			t.Skip()
		}
		r, err := parseRequest((*[headerSize]byte)(b))
		if err != nil {
			require.Zero(t, r)
			return
		}
		again, err := parseRequest((*[headerSize]byte)(encodeRequest(r)))
		require.NoError(t, err)
		require.Equal(t, r, again)
	})
}
