package virtual

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUHIDEvents(t *testing.T) {
	t.Parallel()
	create := createEvent("UNIQUE")
	require.Len(t, create, uhidEventSize)
	require.EqualValues(t, uhidCreate2, binary.NativeEndian.Uint32(create))
	require.Equal(t, uhidName+"\x00", string(create[4:4+len(uhidName)+1]))
	require.Equal(t, "UNIQUE\x00", string(create[4+128+64:][:7]))
	require.EqualValues(t, len(fidoDescriptor), binary.NativeEndian.Uint16(create[260:]))
	require.EqualValues(t, uhidVendorID, binary.NativeEndian.Uint32(create[264:]))
	require.Equal(t, fidoDescriptor, create[280:280+len(fidoDescriptor)])
}

func TestUHIDOutputReports(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		first byte
		size  int
		want  int // bytes of the report, -1 for none
	}{
		"whole":               {0, 65, 64},
		"short":               {0, 10, 9},
		"nothing":             {0, 0, -1},
		"too long":            {0, 66, -1},
		"longer than memory":  {0, 65535, -1},
		"for another ID":      {1, 65, -1},
		"only the report ID":  {0, 1, 0},
		"longest that memory": {0, 4096, -1},
	} {
		body := make([]byte, uhidEventSize-4)
		body[0], body[1] = tt.first, 7
		binary.NativeEndian.PutUint16(body[uhidDataSize:], uint16(tt.size))
		r, ok := parseOutput(body)
		require.Equal(t, tt.want >= 0, ok, name)
		require.Len(t, r, max(0, tt.want), name)
	}
}

func TestServeUHIDSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	if f, err := os.OpenFile(uhidPath, os.O_RDWR, 0); err == nil {
		f.Close()
		t.Skip("this machine has a usable " + uhidPath)
	}
	key, _ := newKey(t, Config{})
	err := key.ServeUHID(t.Context(), func() { require.Fail(t, "there is no node") })
	var pathErr *os.PathError
	require.ErrorAs(t, err, &pathErr)
	require.Equal(t, uhidPath, pathErr.Path)
}

func TestAwaitNode(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write := func(path, text string) {
		path = filepath.Join(root, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	write("dev/hidraw0", "")
	write("dev/hidraw1", "")
	write("sys/class/hidraw/hidraw0/device/uevent", "HID_NAME=x\nHID_UNIQ=\nMODALIAS=y\n")
	write("sys/class/hidraw/hidraw1/device/uevent", "HID_NAME=x\nHID_UNIQ=NAME2\nMODALIAS=y\n")
	require.False(t, hasNode(root, "NAME"), "another's")
	write("sys/class/hidraw/hidraw2/device/uevent", "HID_NAME=x\nHID_UNIQ=NAME\nMODALIAS=y\n")
	require.False(t, hasNode(root, "NAME"), "not in /dev yet")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.False(t, awaitNode(ctx, root, "NAME"))
	write("dev/hidraw2", "")
	require.True(t, awaitNode(t.Context(), root, "NAME"))
}
