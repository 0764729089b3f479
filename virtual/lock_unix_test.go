//go:build linux || darwin || freebsd || openbsd || netbsd || dragonfly

package virtual

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStateFileHasOneUserAtATime(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key.json")
	held, err := lockState(path)
	require.NoError(t, err)
	for text, want := range map[string]string{
		strconv.Itoa(os.Getpid()): "another virtual key of this process",
		"1":                       "the virtual key of process 1",
		"":                        "another virtual key",
		"x":                       "another virtual key",
	} {
		require.NoError(t, os.WriteFile(path+".lock", []byte(text), 0o600))
		_, err = New(Config{StateFile: path})
		require.EqualError(t, err, "virtual: state file "+path+" is in use by "+want)
	}
	held.release()
	require.NoFileExists(t, path+".lock")

	require.NoError(t, os.WriteFile(path+".lock", []byte("12345678"), 0o600))
	held, err = lockState(path)
	require.NoError(t, err, "of a process that is gone")
	text, err := os.ReadFile(path + ".lock")
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(os.Getpid()), string(text))
	held.release()

	held, err = lockState(path)
	require.NoError(t, err)
	late, err := os.Open(path + ".lock")
	require.NoError(t, err)
	defer late.Close()
	require.ErrorIs(t, tryLock(late), errLocked)
	held.release()
	held, err = lockState(path)
	require.NoError(t, err)
	defer held.release()
	require.ErrorIs(t, tryLock(late), errRemoved, "what can be locked now locks nothing")
}
