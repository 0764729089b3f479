package hid

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// fakeConn is the system's side of a device: it hands out what is queued, then err, and keeps what is written.
type fakeConn struct {
	queue    [][]byte
	err      error
	written  [][]byte
	writeErr error
	short    int // bytes that Write leaves over
	closes   int
	closeErr error
}

func (c *fakeConn) Read(p []byte) (int, error) {
	if len(c.queue) == 0 {
		return 0, c.err
	}
	n := copy(p, c.queue[0]) // as a hidraw node does, it cuts off what doesn't fit
	c.queue = c.queue[1:]
	return n, nil
}

func (c *fakeConn) Write(p []byte) (int, error) {
	c.written = append(c.written, bytes.Clone(p))
	return len(p) - c.short, c.writeErr
}

func (c *fakeConn) Close() error { c.closes++; return c.closeErr }

var (
	plainReports    = reports{report{0, 64}, report{0, 64}}
	numberedReports = reports{report{2, 63}, report{3, 63}}
)

func fakeDevice(conn io.ReadWriteCloser, r reports) *Device {
	return newDevice(backend{conn: conn, info: Info{Path: "/dev/hidraw3"}, reports: r, alwaysNumbered: true,
		removed: []error{syscall.EIO, syscall.ENODEV}})
}

// payload returns n bytes that are all different and start with first.
func payload(first byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = first + byte(i)
	}
	return b
}

func TestDeviceReadOneReport(t *testing.T) {
	t.Parallel()
	d := fakeDevice(&fakeConn{queue: [][]byte{payload(0, 64), payload(1, 64)}}, plainReports)
	p := make([]byte, 200)
	for first := range byte(2) {
		n, err := d.Read(p)
		require.NoError(t, err)
		require.Equal(t, payload(first, 64), p[:n])
	}
}

func TestDeviceReadStripsNumberAndSkipsOtherCollections(t *testing.T) {
	t.Parallel()
	keyPress := append([]byte{1}, payload(0, 8)...)
	d := fakeDevice(&fakeConn{queue: [][]byte{keyPress, append([]byte{2}, payload(9, 63)...)}}, numberedReports)
	p := make([]byte, 63)
	n, err := d.Read(p)
	require.NoError(t, err)
	require.Equal(t, payload(9, 63), p[:n])
}

func TestDeviceReadShortBufferReadsNothing(t *testing.T) {
	t.Parallel()
	conn := &fakeConn{queue: [][]byte{payload(0, 64)}}
	d := fakeDevice(conn, plainReports)
	_, err := d.Read(make([]byte, 63))
	require.ErrorIs(t, err, io.ErrShortBuffer)
	require.Len(t, conn.queue, 1)
}

// What to make of a report of the wrong size is for the caller to say.
func TestDeviceReadPassesOnWrongSizes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		reports reports
		wire    []byte
		want    int
	}{
		{"empty", plainReports, nil, 0},
		{"short", plainReports, payload(0, 63), 63},
		{"long", plainReports, payload(0, 65), 65},
		{"far too long", plainReports, payload(0, 5000), 65},
		{"empty, numbered", numberedReports, nil, 0},
		{"number only", numberedReports, []byte{2}, 0},
		{"short, numbered", numberedReports, payload(2, 63), 62},
		{"long, numbered", numberedReports, payload(2, 65), 64},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			good := payload(2, 64) // fits both: begins with the report number, or is all payload
			d := fakeDevice(&fakeConn{queue: [][]byte{tc.wire, good}}, tc.reports)
			p := make([]byte, 65)
			n, err := d.Read(p)
			require.NoError(t, err)
			require.Equal(t, tc.want, n)

			n, err = d.Read(p)
			require.NoError(t, err)
			require.Equal(t, good[64-n:], p[:n], "nothing of it is left over")
		})
	}
}

func TestDeviceWriteFrames(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name           string
		reports        reports
		alwaysNumbered bool
		in, want       []byte
	}{
		{"number 0 first", plainReports, true, payload(1, 64), append([]byte{0}, payload(1, 64)...)},
		{"padded", plainReports, true, []byte{7}, append([]byte{0, 7}, make([]byte, 63)...)},
		{"number of the output report", numberedReports, true, payload(1, 63), append([]byte{3}, payload(1, 63)...)},
		{"no number", plainReports, false, payload(1, 64), payload(1, 64)},
		{"number where the system adds none", numberedReports, false, payload(1, 63), append([]byte{3}, payload(1, 63)...)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			conn := &fakeConn{}
			d := newDevice(backend{conn: conn, reports: tc.reports, alwaysNumbered: tc.alwaysNumbered})
			_, err := d.Write(bytes.Repeat([]byte{0xFF}, tc.reports.out.size)) // must not shine through the padding
			require.NoError(t, err)
			n, err := d.Write(tc.in)
			require.NoError(t, err)
			require.Equal(t, len(tc.in), n)
			require.Equal(t, tc.want, conn.written[1])
		})
	}
}

func TestDeviceWriteTooLong(t *testing.T) {
	t.Parallel()
	conn := &fakeConn{}
	_, err := fakeDevice(conn, plainReports).Write(make([]byte, 65))
	require.EqualError(t, err, "hid: write /dev/hidraw3: 65 bytes for an output report of 64")
	require.Empty(t, conn.written)
}

func TestDeviceWriteShort(t *testing.T) {
	t.Parallel()
	_, err := fakeDevice(&fakeConn{short: 1}, plainReports).Write(make([]byte, 64))
	require.ErrorIs(t, err, io.ErrShortWrite)
}

func TestDeviceRemoved(t *testing.T) {
	t.Parallel()
	conn := &fakeConn{
		queue:    [][]byte{payload(0, 64)},
		err:      &fs.PathError{Op: "read", Path: "/dev/hidraw3", Err: syscall.EIO},
		writeErr: &fs.PathError{Op: "write", Path: "/dev/hidraw3", Err: syscall.ENODEV},
	}
	d := fakeDevice(conn, plainReports)
	p := make([]byte, 64)
	_, err := d.Read(p)
	require.NoError(t, err, "what came before the removal is still there")

	_, err = d.Read(p)
	require.ErrorIs(t, err, ErrRemoved)
	require.ErrorIs(t, err, syscall.EIO)
	require.EqualError(t, err, "hid: read /dev/hidraw3: key removed: "+syscall.EIO.Error())
	_, err = d.Write(p)
	require.ErrorIs(t, err, ErrRemoved)
	require.ErrorIs(t, err, syscall.ENODEV)
}

func TestDeviceOtherErrorsAreNoRemoval(t *testing.T) {
	t.Parallel()
	d := fakeDevice(&fakeConn{err: syscall.EINVAL, writeErr: syscall.ETIMEDOUT}, plainReports)
	_, err := d.Read(make([]byte, 64))
	require.ErrorIs(t, err, syscall.EINVAL)
	require.NotErrorIs(t, err, ErrRemoved)
	_, err = d.Write(nil)
	require.ErrorIs(t, err, syscall.ETIMEDOUT)
	require.NotErrorIs(t, err, ErrRemoved)
}

func TestDeviceCloseOnce(t *testing.T) {
	t.Parallel()
	conn := &fakeConn{err: syscall.EIO, writeErr: syscall.EBADF, closeErr: errors.New("boom")}
	d := fakeDevice(conn, plainReports)
	require.EqualError(t, d.Close(), "hid: close /dev/hidraw3: boom")
	require.NoError(t, d.Close())
	require.Equal(t, 1, conn.closes)

	_, err := d.Read(make([]byte, 64))
	require.ErrorIs(t, err, fs.ErrClosed)
	require.NotErrorIs(t, err, ErrRemoved)
	_, err = d.Write(make([]byte, 64))
	require.ErrorIs(t, err, fs.ErrClosed)
}

func TestDeviceReportSizesAndInfo(t *testing.T) {
	t.Parallel()
	d := fakeDevice(&fakeConn{}, reports{report{1, 48}, report{0, 32}})
	in, out := d.ReportSizes()
	require.Equal(t, 48, in)
	require.Equal(t, 32, out)
	require.Equal(t, Info{Path: "/dev/hidraw3"}, d.Info())
}
