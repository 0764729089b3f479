package main

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/keyfob-go/keyfob/hid"
)

// socketInterval is how often a socket is looked for: no system tells of those as it does of nodes.
const socketInterval = 250 * time.Millisecond

// watchDevice tells of the one key that --device names, as [hid.Watch] does of all. A node is always there, and a socket
// while it exists.
func (inv *invocation) watchDevice(ctx context.Context) (present []hid.Info, events <-chan hid.Event, err error) {
	key := hid.Info{Path: inv.device}
	changes := make(chan hid.Event)
	path, isSocket := strings.CutPrefix(inv.device, "unix:")
	if !isSocket {
		context.AfterFunc(ctx, func() { close(changes) })
		return []hid.Info{key}, changes, nil
	}
	socket := lookFor(path)
	if socket != nil {
		present = []hid.Info{key}
	}
	go watchSocket(ctx, key, socket, changes)
	return present, changes, nil
}

func watchSocket(ctx context.Context, key hid.Info, last os.FileInfo, changes chan<- hid.Event) {
	defer close(changes)
	tick := time.NewTicker(socketInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := lookFor(strings.TrimPrefix(key.Path, "unix:"))
		for _, kind := range difference(last, now) {
			select {
			case changes <- hid.Event{Kind: kind, Info: key}:
			case <-ctx.Done():
				return
			}
		}
		last = now
	}
}

// lookFor returns nil for what is not there.
func lookFor(path string) os.FileInfo {
	info, err := os.Lstat(path)
	if err != nil {
		return nil
	}
	return info
}

// difference says what happened to a socket. A new one by the same name is another key.
func difference(last, now os.FileInfo) []hid.EventKind {
	switch {
	case last == nil && now == nil:
		return nil
	case last == nil:
		return []hid.EventKind{hid.Added}
	case now == nil:
		return []hid.EventKind{hid.Removed}
	case os.SameFile(last, now) && last.ModTime().Equal(now.ModTime()):
		return nil
	}
	return []hid.EventKind{hid.Removed, hid.Added}
}
