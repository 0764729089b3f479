package ctaphid

import (
	"context"
	"io/fs"
	"testing"
)

// answering is a device that has the answer ready when the last packet of the request arrives; it allocates nothing.
type answering struct {
	answer [][]byte
	size   int // reports of a request
	got    int
	ready  chan []byte
	closed chan struct{}
}

func (d *answering) Read(p []byte) (int, error) {
	select {
	case r := <-d.ready:
		return copy(p, r), nil
	case <-d.closed:
		return 0, fs.ErrClosed
	}
}

func (d *answering) Write(p []byte) (int, error) {
	if packetCID(p) == BroadcastCID {
		d.ready <- reports(64, BroadcastCID, CommandInit, initAnswer(p[7:15], 1))[0]
		return len(p), nil
	}
	if d.got++; d.got == d.size {
		d.got = 0
		for _, r := range d.answer {
			d.ready <- r
		}
	}
	return len(p), nil
}

func (d *answering) Close() error { close(d.closed); return nil }

func benchmark(b *testing.B, cmd Command, request, answer []byte) {
	d := &answering{
		answer: reports(64, 1, cmd, answer),
		size:   len(reports(64, 1, cmd, request)),
		ready:  make(chan []byte, 256),
		closed: make(chan struct{}),
	}
	c, err := Open(context.Background(), d)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.transact(context.Background(), cmd, request, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCBOR220To900(b *testing.B) { benchmark(b, CommandCBOR, pattern(220), pattern(900)) }
func BenchmarkPing7609(b *testing.B)     { benchmark(b, CommandPing, pattern(7609), pattern(7609)) }
