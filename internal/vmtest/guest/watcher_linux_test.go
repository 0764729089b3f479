package guest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/hid"
)

func init() { children["watch"] = watch }

// sighting is a line of the child that watches.
type sighting struct {
	Kind             string // that of an event, or "present", or "watching" after the last of these
	Path, ID, Reason string
	Used             string // what came of a PING, if the child was to try
}

// watch prints what hid.Watch tells, one JSON text a line. If a folder is to be hidden it lies under an empty one, which
// takes a mount namespace of the process, and every key that can be opened is used.
func watch(hidden string) {
	if hidden != "" {
		if err := hide(hidden); err != nil {
			fail("watch", err)
		}
	}
	say := func(kind string, key hid.Info) {
		s := sighting{Kind: kind, Path: key.Path, ID: key.StableID}
		if key.Err != nil {
			s.Reason = key.Err.Error()
		} else if hidden != "" && kind != "removed" && kind != "watching" {
			s.Used = fmt.Sprint(use(key))
		}
		json.NewEncoder(os.Stdout).Encode(s)
	}
	present, events, err := hid.Watch(context.Background())
	if err != nil {
		fail("watch", err)
	}
	for _, key := range present {
		say("present", key)
	}
	say("watching", hid.Info{})
	for e := range events {
		say(e.Kind.String(), e.Info)
	}
}

func hide(folder string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	return unix.Mount("tmpfs", folder, "tmpfs", 0, "")
}

// use has a key echo a PING.
func use(key hid.Info) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	a, err := authenticator.Open(ctx, key, nil)
	if err != nil {
		return err
	}
	defer a.Close()
	return a.Ping(ctx, []byte("ping"))
}

// watcher is a running child that watches.
type watcher struct{ lines <-chan string }

// startWatcher returns what was there, too. The child ends with the test.
func startWatcher(t *testing.T, hidden string, attributes *syscall.SysProcAttr) (w watcher, present []sighting) {
	t.Helper()
	c := child(t, "watch", hidden)
	c.SysProcAttr = attributes
	stdout, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		c.Process.Kill()
		for range lines {
		}
		c.Wait()
	})
	w = watcher{lines}
	for {
		s := w.next(t)
		if s.Kind == "watching" {
			return w, present
		}
		present = append(present, s)
	}
}

// next waits for what the child says next.
func (w watcher) next(t *testing.T) (s sighting) {
	t.Helper()
	line := receive(t, w.lines)
	t.Log(line)
	require.NoError(t, json.Unmarshal([]byte(line), &s))
	return s
}

// requireSilent wants the child to have nothing to say.
func (w watcher) requireSilent(t *testing.T) {
	t.Helper()
	select {
	case line := <-w.lines:
		require.FailNow(t, "unexpected", line)
	case <-time.After(100 * time.Millisecond):
	}
}
