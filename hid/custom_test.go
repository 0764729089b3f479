package hid

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// A Device of somebody else's making moves reports as HIDAPI has them, and says that the key is gone if that says so.
func TestNewDevice(t *testing.T) {
	t.Parallel()
	gone := fmt.Errorf("%w: Input/output error", ErrRemoved)
	conn := &fakeConn{queue: [][]byte{payload(7, 64)}, err: gone}
	info := Info{Path: "DevSrvsID:42", Product: "Key", Err: errors.New("not yet")}
	d, err := NewDevice(conn, info, unhex(t, keyDescriptor))
	require.NoError(t, err)
	require.Equal(t, Info{Path: "DevSrvsID:42", Product: "Key"}, d.Info())

	p := make([]byte, 64)
	_, err = d.Read(p)
	require.NoError(t, err)
	require.Equal(t, payload(7, 64), p)
	_, err = d.Read(p)
	require.ErrorIs(t, err, ErrRemoved)
	require.EqualError(t, err, "hid: read DevSrvsID:42: key removed: Input/output error")
	_, err = d.Write(payload(1, 64))
	require.NoError(t, err)
	require.Equal(t, [][]byte{append([]byte{0}, payload(1, 64)...)}, conn.written)
	require.NoError(t, d.Close())
	require.Equal(t, 1, conn.closes)
}

func TestNewDeviceRefusesWhatIsNoKey(t *testing.T) {
	t.Parallel()
	conn := &fakeConn{}
	_, err := NewDevice(conn, Info{Path: "x"}, unhex(t, keyDescriptor)[:30])
	require.ErrorIs(t, err, errTruncated)
	_, err = NewDevice(conn, Info{Path: "x"}, nil)
	require.ErrorIs(t, err, errNotFIDO)
	require.ErrorContains(t, err, "hid: open x: ")
	require.Zero(t, conn.closes, "it is still the caller's")
}

func TestWatchListAsksItsOwnList(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	mine := []Info{{Path: "DevSrvsID:42"}}
	present, events, err := WatchList(ctx, func() ([]Info, error) { return mine, nil })
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	require.NoError(t, err)
	require.Equal(t, mine, present)
	cancel()
	_, ok := <-events
	require.False(t, ok)

	boom := errors.New("boom")
	_, _, err = WatchList(t.Context(), func() ([]Info, error) { return nil, boom })
	require.ErrorIs(t, err, boom)
}

func TestInfoClean(t *testing.T) {
	t.Parallel()
	dirty := Info{
		Path: "/dev/hidraw3", VendorID: 0x1050, ProductID: 0x407, StableID: "serial:of:an:other",
		Manufacturer: "Yu\x1b[2Jbico", Product: " Key\n", Serial: "\u202e1234",
	}
	require.Equal(t, Info{
		Path: "/dev/hidraw3", VendorID: 0x1050, ProductID: 0x407, StableID: "serial:1050:0407:1234",
		Manufacturer: "Yu[2Jbico", Product: "Key", Serial: "1234",
	}, dirty.Clean())
	dirty.Serial = "\x00"
	require.Empty(t, dirty.Clean().StableID)
}
