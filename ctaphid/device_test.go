package ctaphid

import (
	"encoding/binary"
	"io/fs"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// fakeDevice is the far end of a wire: a test reads the reports that the channel wrote and writes those that it shall
// read. It does not know CTAPHID; the methods of fakeKey do.
type fakeDevice struct {
	in, out  int
	toHost   chan []byte
	fromHost chan []byte
	closed   chan struct{}
	once     sync.Once
}

func newFakeDevice(in, out int) *fakeDevice {
	return &fakeDevice{
		in: in, out: out,
		toHost:   make(chan []byte, 4096),
		fromHost: make(chan []byte, 4096),
		closed:   make(chan struct{}),
	}
}

func (d *fakeDevice) ReportSizes() (in, out int) { return d.in, d.out }

func (d *fakeDevice) Read(p []byte) (int, error) {
	select {
	case r := <-d.toHost:
		return copy(p, r), nil
	case <-d.closed:
		return 0, fs.ErrClosed
	}
}

func (d *fakeDevice) Write(p []byte) (int, error) {
	select {
	case <-d.closed:
		return 0, fs.ErrClosed
	case d.fromHost <- append([]byte(nil), p...):
		return len(p), nil
	}
}

func (d *fakeDevice) Close() error {
	d.once.Do(func() { close(d.closed) })
	return nil
}

// fakeKey answers requests as a test tells it to. Its goroutine ends when the channel is closed.
type fakeKey struct {
	*fakeDevice
	t       *testing.T
	nextCID uint32
	inits   int // answered
}

type request struct {
	cid  uint32
	cmd  Command
	data []byte
}

// serve answers INIT and hands every other request to handle.
func serve(t *testing.T, d *fakeDevice, handle func(k *fakeKey, r request)) *fakeKey {
	k := &fakeKey{fakeDevice: d, t: t, nextCID: 0x01020304}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			r, ok := k.receive()
			if !ok {
				return
			}
			if r.cmd == CommandInit {
				k.answerInit(r)
				continue
			}
			handle(k, r)
		}
	})
	t.Cleanup(func() { d.Close(); wg.Wait() })
	return k
}

func (k *fakeKey) receive() (r request, ok bool) {
	var m message
	for {
		select {
		case report := <-k.fromHost:
			if report[4] == byte(CommandInit)|initBit { // aborts what has come in so far
				m = message{}
			}
			complete, err := m.add(report)
			require.NoError(k.t, err)
			if complete {
				return request{packetCID(report), m.cmd, m.data}, true
			}
		case <-k.closed:
			return r, false
		}
	}
}

func (k *fakeKey) answerInit(r request) {
	cid := r.cid
	if cid == BroadcastCID {
		cid = k.nextCID
		k.nextCID++
	}
	k.inits++
	k.send(r.cid, CommandInit, initAnswer(r.data, cid))
}

func initAnswer(nonce []byte, cid uint32) []byte {
	b := binary.BigEndian.AppendUint32(append([]byte(nil), nonce...), cid)
	return append(b, 2, 5, 4, 3, byte(CapabilityWink|CapabilityCBOR))
}

func (k *fakeKey) send(cid uint32, cmd Command, data []byte) {
	for _, r := range reports(k.in, cid, cmd, data) {
		k.toHost <- r
	}
}

// reports cuts a message into reports.
func reports(size int, cid uint32, cmd Command, data []byte) (all [][]byte) {
	r := make([]byte, size)
	rest := data[putInit(r, cid, cmd, data):]
	all = append(all, r)
	for seq := byte(0); len(rest) > 0; seq++ {
		r := make([]byte, size)
		rest = rest[putCont(r, cid, seq, rest):]
		all = append(all, r)
	}
	return all
}

// echo answers PING and CBOR with what they carry.
func echo(k *fakeKey, r request) {
	if r.cmd != CommandCancel {
		k.send(r.cid, r.cmd, r.data)
	}
}

// openChannel opens a channel to a device that handle serves; it is closed at the end of the test.
func openChannel(t *testing.T, handle func(k *fakeKey, r request)) (*Channel, *fakeKey) {
	t.Helper()
	d := newFakeDevice(64, 64)
	k := serve(t, d, handle)
	c, err := Open(t.Context(), d)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c, k
}
