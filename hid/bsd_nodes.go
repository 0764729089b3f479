//go:build freebsd || netbsd || openbsd || linux

package hid

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// bsd finds and opens the device nodes of one BSD. Nothing but the node itself tells what is behind it there, and only
// one program at a time can have it open. So to list means to open every node for a moment, and what a node
// that somebody has open is can only be remembered. (On Linux it serves the tests.)
type bsd struct {
	candidates func() ([]candidate, error)
	openNode   func(path string) (fd int, err error) // so that nothing waits for the node but poll

	// describe says what an open node is; the Info is without Path. An error that is errNotFIDO tells that it is something else.
	describe func(fd int) (Info, reports, error)

	losesToggle bool   // see togglePing
	permission  string // what to do if there is none

	mu    sync.Mutex      // held while a node is open for a look, so that no open of this program gets in the way
	known map[string]Info // by path, what was found in a node that is still there; guarded by mu
}

// bsdRemoved is what the drivers say when the key is gone. A revoked node gives EOF or EBADF.
var bsdRemoved = []error{io.EOF, unix.EIO, unix.ENXIO, unix.ENODEV, unix.EBADF}

func (b *bsd) list() ([]Info, error) {
	candidates, err := b.candidates()
	if err != nil {
		return nil, fmt.Errorf("hid: list: %w", err)
	}
	var infos []Info
	for _, c := range candidates {
		if info, ok := b.look(c); ok {
			infos = append(infos, info)
		}
	}
	return infos, nil
}

// look says what a node is; ok is false if it is nothing or nothing known.
func (b *bsd) look(c candidate) (info Info, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fd, err := b.openNode(c.path)
	switch {
	case errors.Is(err, unix.EBUSY):
		info, ok = b.known[c.path]
		info.Path = c.path
		return info, ok || c.certain
	case errors.Is(err, fs.ErrPermission):
		return Info{Path: c.path, Err: b.explain(c.path, err)}, c.certain
	case err != nil:
		delete(b.known, c.path)
		return Info{}, false
	}
	defer unix.Close(fd)
	info, _, err = b.describe(fd)
	info.Path = c.path
	if err != nil {
		delete(b.known, c.path)
		info.Err = b.explain(c.path, err)
		return info, c.certain && !errors.Is(err, errNotFIDO)
	}
	b.remember(info)
	return info, true
}

func (b *bsd) remember(info Info) {
	if b.known == nil {
		b.known = make(map[string]Info)
	}
	b.known[info.Path] = info
}

func (b *bsd) open(path string) (*Device, error) {
	fd, err := b.openPatiently(path)
	if err != nil {
		return nil, b.explain(path, err)
	}
	d, err := b.newDevice(fd, path)
	if err != nil {
		return nil, b.explain(path, err)
	}
	return d, nil
}

// Who lists the keys has each of them open for a moment; that is no reason to call one busy.
const (
	busyTries = 5
	busyPause = 20 * time.Millisecond
)

func (b *bsd) openPatiently(path string) (fd int, err error) {
	for range busyTries {
		b.mu.Lock()
		fd, err = b.openNode(path)
		b.mu.Unlock()
		if !errors.Is(err, unix.EBUSY) {
			break
		}
		time.Sleep(busyPause)
	}
	return fd, err
}

// openCharDevice is openNode of all BSDs.
func openCharDevice(path string) (int, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return -1, cause(err)
	}
	// Even opening the wrong thing can have an effect: a pipe has a writer all of a sudden.
	if fi.Mode()&fs.ModeCharDevice == 0 {
		return -1, errors.New("not a character device")
	}
	return unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
}

// newDevice takes over fd.
func (b *bsd) newDevice(fd int, path string) (*Device, error) {
	info, r, err := b.describe(fd)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	info.Path = path
	be := backend{info: info, reports: r, removed: bsdRemoved}
	conn, err := newPolledConn(fd, be.numberLen(r.in)+r.in.size)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	if b.losesToggle {
		err = conn.resetToggle(r)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.remember(info)
	be.conn = conn
	return newDevice(be), nil
}

// explain says which node an error is about and what to do.
func (b *bsd) explain(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("hid: open %s: %w: %s", path, err, b.permission)
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("hid: open %s: %w: %w", path, ErrBusy, err)
	case errors.Is(err, unix.ENXIO): // a node that waits for a key
		return fmt.Errorf("hid: open %s: %w: %w: plug the key in", path, fs.ErrNotExist, err)
	}
	return fmt.Errorf("hid: open %s: %w", path, err)
}

// globNodes returns the nodes that match any of the patterns, in the order of the patterns and their numbers. Links are
// other names of other nodes.
func globNodes(certain bool, patterns ...string) ([]candidate, error) {
	var candidates []candidate
	for _, pattern := range patterns {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		slices.SortFunc(paths, func(a, b string) int {
			return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
		})
		for _, path := range paths {
			if fi, err := os.Lstat(path); err == nil && fi.Mode()&fs.ModeCharDevice != 0 {
				candidates = append(candidates, candidate{path, certain})
			}
		}
	}
	return candidates, nil
}
