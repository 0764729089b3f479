package guest

import (
	"bytes"
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/internal/usbip"
	"github.com/keyfob-go/keyfob/virtual"
)

// TestWatchTellsOfKeys plugs keys in and pulls them, one of them twice while nobody looks.
func TestWatchTellsOfKeys(t *testing.T) {
	requireNothingLeft(t)
	first := attachUSB(t, usbip.Config{Serial: "first"}, echo)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	present, events, err := hid.Watch(ctx)
	require.NoError(t, err)
	require.Equal(t, []hid.Info{first.Info}, present)

	second := attachUSB(t, usbip.Config{Serial: "second"}, echo)
	require.Equal(t, hid.Event{Kind: hid.Added, Info: second.Info}, receive(t, events))
	createUHID(t, uhidConfig{name: "No key", bus: busUSB, descriptor: gamepadDescriptor})
	waitForNodes(t, 3)
	second.unplug()
	requireNoNode(t, second.Path)
	again := attachUSB(t, usbip.Config{Serial: "second"}, echo)
	require.Equal(t, second.StableID, again.StableID)
	require.Equal(t, second.Path, again.Path, "the kernel gave the node to the same key again")
	require.Equal(t, hid.Event{Kind: hid.Removed, Info: second.Info}, receive(t, events))
	require.Equal(t, hid.Event{Kind: hid.Added, Info: again.Info}, receive(t, events))

	first.unplug()
	again.unplug()
	removed := []hid.Event{receive(t, events), receive(t, events)}
	require.ElementsMatch(t, []hid.Event{{Kind: hid.Removed, Info: first.Info}, {Kind: hid.Removed, Info: again.Info}}, removed)
	cancel()
	_, ok := <-events
	require.False(t, ok)
}

// requireKeys waits until these are the keys that are plugged in.
func requireKeys(t *testing.T, want ...hid.Info) {
	t.Helper()
	require.ElementsMatch(t, want, waitForKeys(t, func(hid.Info) bool { return true }, len(want)))
}

// TestWatchTellsOfPermissions plays the udev rule that comes some time after the node, for a user who is not root.
func TestWatchTellsOfPermissions(t *testing.T) {
	w, present := startWatcher(t, "", &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000, Gid: 1000}})
	require.Empty(t, present)
	key := attachUSB(t, usbip.Config{Serial: "late"}, echo)
	id := "serial:0000:0000:late"
	added := w.next(t)
	require.Contains(t, added.Reason, "hid: open "+key.Path+": permission denied: install udev's rules")
	require.Equal(t, sighting{Kind: "added", Path: key.Path, ID: id, Reason: added.Reason}, added)
	w.requireSilent(t)
	require.NoError(t, os.Chmod(key.Path, 0o660))
	w.requireSilent(t)
	require.NoError(t, os.Chmod(key.Path, 0o666))
	require.Equal(t, sighting{Kind: "changed", Path: key.Path, ID: id}, w.next(t))
	require.NoError(t, os.Chmod(key.Path, 0o600))
	require.Equal(t, sighting{Kind: "changed", Path: key.Path, ID: id, Reason: added.Reason}, w.next(t))
	key.unplug()
	require.Equal(t, sighting{Kind: "removed", Path: key.Path, ID: id, Reason: added.Reason}, w.next(t))
	w.requireSilent(t)
}

// TestWatchWithoutSysfs has a process to which sysfs is hidden, as in some containers. It finds, names and uses keys.
func TestWatchWithoutSysfs(t *testing.T) {
	for _, hidden := range []string{"/sys", "/sys/class", "/sys/devices"} {
		t.Run(hidden, func(t *testing.T) {
			key := attachSoftKey(t, virtual.Config{})
			createUHID(t, uhidConfig{name: "No key", bus: busUSB, descriptor: gamepadDescriptor})
			waitForNodes(t, 2)
			w, present := startWatcher(t, hidden, &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS})
			require.Equal(t, []sighting{{Kind: "present", Path: key.Path, ID: key.StableID, Used: "<nil>"}}, present)
			second := attachSoftKey(t, virtual.Config{})
			require.Equal(t, sighting{Kind: "added", Path: second.Path, ID: second.StableID, Used: "<nil>"}, w.next(t))
			key.unplug()
			require.Equal(t, sighting{Kind: "removed", Path: key.Path, ID: key.StableID}, w.next(t))
			w.requireSilent(t)
		})
	}
}

// TestWatchWithoutUevents has a process in namespaces of its own, to which the kernel sends no uevents.
func TestWatchWithoutUevents(t *testing.T) {
	id := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}
	w, _ := startWatcher(t, "", &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNET, UidMappings: id, GidMappings: id,
	})
	key := attachUSB(t, usbip.Config{}, echo)
	added := w.next(t)
	require.Equal(t, "added", added.Kind)
	require.Equal(t, key.Path, added.Path)
	key.unplug()
	start := time.Now()
	for seen := added; seen.Kind != "removed"; {
		seen = w.next(t)
		require.Equal(t, key.Path, seen.Path)
	}
	require.Less(t, time.Since(start), 5*time.Second)
	w.requireSilent(t)
}

// TestPlugToAdded measures how long after the kernel's own uevent Watch tells of a key.
func TestPlugToAdded(t *testing.T) {
	uevents := hearUevents(t)
	_, events, err := hid.Watch(t.Context())
	require.NoError(t, err)
	for range 3 {
		start := time.Now()
		d, err := usbip.Attach(usbip.Config{Serial: "timed"})
		require.NoError(t, err)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			echo(d)
		}()
		added := make(chan time.Time, 1)
		go func() {
			<-events
			added <- time.Now()
		}()
		told, kernel := receive(t, added), receive(t, uevents)
		t.Logf("plugged in; %v later Watch told of it, %v after the kernel's uevent was received",
			told.Sub(start).Round(100*time.Microsecond), told.Sub(kernel).Round(100*time.Microsecond))
		require.Less(t, told.Sub(kernel), 2*time.Second)
		d.Close()
		<-ended
		require.Equal(t, hid.Removed, receive(t, events).Kind)
	}
}

// hearUevents returns when the kernel said that a hidraw node was added.
func hearUevents(t *testing.T) <-chan time.Time {
	t.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	require.NoError(t, err)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}))
	f := os.NewFile(uintptr(fd), "uevents")
	heard := make(chan time.Time, 100)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		message := make([]byte, 8192)
		for {
			n, err := f.Read(message)
			if err != nil {
				return
			}
			if bytes.HasPrefix(message, []byte("add@")) && strings.Contains(string(message[:n]), "\x00SUBSYSTEM=hidraw\x00") {
				heard <- time.Now()
			}
		}
	}()
	t.Cleanup(func() {
		f.Close()
		<-ended
	})
	return heard
}
