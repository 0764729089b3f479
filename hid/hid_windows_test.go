package hid

import (
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/windows"
)

// The sizes are those of the structures in setupapi.h and cfgmgr32.h, which Windows refuses to fill if they are wrong.
func TestWindowsStructuresHaveTheirSize(t *testing.T) {
	const pointer = unsafe.Sizeof(uintptr(0))
	require.Equal(t, 24+pointer, unsafe.Sizeof(interfaceData{}))
	require.Equal(t, 24+pointer, unsafe.Sizeof(deviceInfoData{}))
	require.EqualValues(t, 416, unsafe.Sizeof(notifyFilter{}))
	require.Contains(t, map[uintptr]uintptr{4: 6, 8: 8}, pointer)
	require.Equal(t, map[uintptr]uintptr{4: 6, 8: 8}[pointer], detailSize)
}

// TestWindowsCallback calls what Windows would call.
func TestWindowsCallback(t *testing.T) {
	id, changed := subscribers.add()
	other, unchanged := subscribers.add()
	defer subscribers.remove(other)
	for range 2 {
		result, _, _ := syscall.SyscallN(notified(), 0, id, 0, 0, 0)
		require.Zero(t, result)
	}
	require.Len(t, changed, 1)
	require.Empty(t, unchanged)
	subscribers.remove(id)
	syscall.SyscallN(notified(), 0, id, 0, 0, 0) // late
}

func TestWindowsMissingFunction(t *testing.T) {
	missing := setupapi.NewProc("KeyfobIsNotThere")
	for _, err := range []error{call(missing), callCM(missing), callHidP(missing), hidBool(missing)} {
		require.ErrorIs(t, err, windows.ERROR_PROC_NOT_FOUND)
	}
}

func TestWindowsExplainOpen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err, want error
		text      string
	}{
		{windows.ERROR_ACCESS_DENIED, fs.ErrPermission, "administrator"},
		{windows.ERROR_FILE_NOT_FOUND, fs.ErrNotExist, "plug the key in"},
		{windows.ERROR_SHARING_VIOLATION, ErrBusy, "close the program"},
		{errNotFIDO, errNotFIDO, "not a FIDO key"},
	} {
		err := explainOpen(`\\?\hid#x`, c.err)
		require.ErrorIs(t, err, c.want)
		require.ErrorIs(t, err, c.err)
		require.ErrorContains(t, err, c.text)
		require.True(t, strings.HasPrefix(err.Error(), `hid: open \\?\hid#x: `), err)
	}
}
