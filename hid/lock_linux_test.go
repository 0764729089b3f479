package hid

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// openFile opens a file anew, which is what makes locks of the same program conflict.
func openFile(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func TestLockIsHeldUntilClose(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "node")
	first, second := openFile(t, path), openFile(t, path)
	require.NoError(t, lock(int(first.Fd())))
	err := lock(int(second.Fd()))
	require.ErrorIs(t, err, ErrBusy)
	require.EqualError(t, err, "key busy: this program holds it")
	require.NoError(t, first.Close())
	require.NoError(t, lock(int(second.Fd())))
}

// lockedFile names the variable that makes this program one that locks the file and then waits for the end of its
// standard input.
const lockedFile = "KEYFOB_TEST_LOCK"

func TestMain(m *testing.M) {
	if path := os.Getenv(lockedFile); path != "" {
		holdLock(path)
		return
	}
	os.Exit(m.Run())
}

func holdLock(path string) {
	f, err := os.Open(path)
	if err == nil {
		err = lock(int(f.Fd()))
	}
	fmt.Println(err)
	io.Copy(io.Discard, os.Stdin)
}

func TestLockNamesItsHolder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "node")
	f := openFile(t, path)
	self, err := os.Executable()
	require.NoError(t, err)
	c := exec.CommandContext(t.Context(), self)
	c.Env = append(os.Environ(), lockedFile+"="+path)
	stdin, err := c.StdinPipe()
	require.NoError(t, err)
	stdout, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	defer c.Wait()
	defer stdin.Close()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "<nil>\n", line)

	err = lock(int(f.Fd()))
	require.ErrorIs(t, err, ErrBusy)
	name := filepath.Base(self)
	require.EqualError(t, err, fmt.Sprintf("key busy: held by %s (PID %d)", name[:min(len(name), 15)], c.Process.Pid))
}

// A file that can't be locked, or not any more, is nobody's.
func TestLockWhereThereAreNoLocks(t *testing.T) {
	t.Parallel()
	require.NoError(t, lock(-1))
}

const procLocks = `1: POSIX  ADVISORY  WRITE 11 00:05:317 0 EOF
2: FLOCK  ADVISORY  WRITE 22 00:05:3170 0 EOF
3: FLOCK  ADVISORY  WRITE 33 00:05:317 0 EOF
3: -> FLOCK  ADVISORY  WRITE 44 00:05:317 0 EOF
4: FLOCK  ADVISORY  WRITE 55 00:05:318 0 EOF
5: -> FLOCK  ADVISORY  WRITE 66 00:05:319 0 EOF
6: FLOCK  ADVISORY  WRITE -1 00:05:320 0 EOF
7: FLOCK  ADVISORY  WRITE
`

func TestLockOwner(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]int{
		"00:05:317": 33, "00:05:318": 55, "00:05:319": 0, "00:05:320": 0, "00:05:31": 0, "": 0,
	} {
		require.Equal(t, want, lockOwner([]byte(procLocks), file), file)
	}
}

func FuzzLockOwner(f *testing.F) {
	f.Add(procLocks, 33, uint64(317))
	f.Add("1: FLOCK  ADVISORY  WRITE 99999999999999999999 x 0 EOF", 1, uint64(0))
	f.Fuzz(func(t *testing.T, others string, pid int, inode uint64) {
		file := fmt.Sprintf("00:05:%d", inode)
		require.GreaterOrEqual(t, lockOwner([]byte(others), file), 0)
		line := fmt.Sprintf("1: FLOCK  ADVISORY  WRITE %d %s 0 EOF\n", pid, file)
		require.Equal(t, max(pid, 0), lockOwner([]byte(line+others), file), "the first line counts")
	})
}

func TestInTurn(t *testing.T) {
	t.Parallel()
	busy, broken := fmt.Errorf("hid: open: %w", ErrBusy), errors.New("broken")
	for _, tc := range []struct {
		name     string
		outcomes []error // of one attempt after the other; the last one stays
		want     error
		attempts int
		waited   time.Duration
	}{
		{"free", []error{nil}, nil, 1, 0},
		{"broken", []error{broken}, broken, 1, 0},
		{"free after a moment", []error{busy, busy, nil}, nil, 3, 30 * time.Millisecond},
		{"gone after a moment", []error{busy, broken}, broken, 2, 10 * time.Millisecond},
		{"busy", []error{busy}, busy, 8, 1270 * time.Millisecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				start, attempts := time.Now(), 0
				d, err := inTurn(func() (*Device, error) {
					attempts++
					err := tc.outcomes[min(attempts, len(tc.outcomes))-1]
					if err != nil {
						return nil, err
					}
					return fakeDevice(&fakeConn{}, plainReports), nil
				})
				require.Equal(t, tc.want, err)
				require.Equal(t, tc.want == nil, d != nil)
				require.Equal(t, tc.attempts, attempts)
				require.Equal(t, tc.waited, time.Since(start))
			})
		})
	}
}
