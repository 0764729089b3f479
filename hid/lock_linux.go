package hid

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Open waits 1.27 seconds for its turn: programs that use a key without a person hold it for some milliseconds.
const (
	firstPause = 10 * time.Millisecond
	lastPause  = 640 * time.Millisecond
)

// inTurn tries to open a node until it isn't busy. Each attempt opens it anew, since what the key tells the other
// program in the meantime would wait in this one's queue, too.
func inTurn(open func() (*Device, error)) (*Device, error) {
	for pause := firstPause; ; pause *= 2 {
		d, err := open()
		if !errors.Is(err, ErrBusy) || pause > lastPause {
			return d, err
		}
		time.Sleep(pause)
	}
}

// lock takes the advisory lock that libfido2 takes, too, until the file is closed. Where the system has no locks,
// there is nobody who holds one.
func lock(fd int) error {
	err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrBusy, holder(fd))
}

// holder says in words who holds the lock of a file, as far as the system tells.
func holder(fd int) string {
	const unknown = "another program holds it"
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return unknown
	}
	locks, _ := os.ReadFile("/proc/locks")
	dev := uint64(st.Dev) // 32 bits wide on some CPUs
	pid := lockOwner(locks, fmt.Sprintf("%02x:%02x:%d", unix.Major(dev), unix.Minor(dev), st.Ino))
	switch {
	case pid == os.Getpid():
		return "this program holds it"
	case pid <= 0: // of another PID namespace, or a kernel without /proc/locks
		return unknown
	}
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if name := cleanName(string(comm)); err == nil && name != "" {
		return fmt.Sprintf("held by %s (PID %d)", name, pid)
	}
	return fmt.Sprintf("held by PID %d", pid)
}

// lockOwner finds the process that locked a file in the text of /proc/locks (proc_locks(5)), or returns 0:
//
//	1: FLOCK  ADVISORY  WRITE 1234 00:05:317 0 EOF
//
// Those who wait for a lock have an arrow as the second field and so don't look like this.
func lockOwner(locks []byte, file string) int {
	for line := range bytes.Lines(locks) {
		fields := strings.Fields(string(line))
		if len(fields) < 6 || fields[1] != "FLOCK" || fields[5] != file {
			continue
		}
		pid, _ := strconv.Atoi(fields[4])
		return max(pid, 0)
	}
	return 0
}
