package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestQuestionEndsInTime has nobody answer in time, then somebody give up, and then the right answer given, without a line
// that was left behind.
func TestQuestionEndsInTime(t *testing.T) {
	t.Parallel()
	user, tty := newTerminal(t)
	late := errors.New("too late")
	ctx, cancel := context.WithCancelCause(t.Context())
	for _, tt := range []struct {
		ctx    context.Context
		answer func()
		pin    []byte
		err    error
	}{
		{ctx, func() { cancel(late) }, nil, late},
		{t.Context(), func() { user.WriteString("12\x03") }, nil, context.Canceled},
		{t.Context(), func() { user.WriteString("1235\x7f4\r") }, []byte(pin), nil},
	} {
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			readUntil(user, "PIN: ")
			tt.answer()
		}()
		again, err := os.OpenFile(tty, os.O_RDWR|unix.O_NOCTTY, 0)
		require.NoError(t, err)
		got, err := readPIN(tt.ctx, again, "PIN: ")
		require.ErrorIs(t, err, tt.err)
		require.Equal(t, tt.pin, got)
		require.NoError(t, again.Close())
		<-answered
	}
}

// newTerminal returns what the user sits at, and the name of what programs see.
func newTerminal(t *testing.T) (user *os.File, name string) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here: ", err)
	}
	t.Cleanup(func() { user.Close() })
	require.NoError(t, unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	name = fmt.Sprintf("/dev/pts/%d", number)
	open, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0) // or what is written would be lost in between
	require.NoError(t, err)
	t.Cleanup(func() { open.Close() })
	return user, name
}

// readUntil reads what a terminal shows, until there is a text.
func readUntil(user io.Reader, text string) {
	var shown strings.Builder
	for b := make([]byte, 1); !strings.Contains(shown.String(), text); {
		if _, err := io.ReadFull(user, b); err != nil {
			return
		}
		shown.Write(b)
	}
}
