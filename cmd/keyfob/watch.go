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
	socket, isSocket := strings.CutPrefix(inv.device, "unix:")
	there := !isSocket || exists(socket)
	if there {
		present = []hid.Info{key}
	}
	changes := make(chan hid.Event)
	if isSocket {
		go watchSocket(ctx, socket, there, changes)
	} else {
		context.AfterFunc(ctx, func() { close(changes) })
	}
	return present, changes, nil
}

func watchSocket(ctx context.Context, socket string, there bool, changes chan<- hid.Event) {
	defer close(changes)
	tick := time.NewTicker(socketInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if exists(socket) == there {
			continue
		}
		there = !there
		change := hid.Event{Kind: hid.Removed, Info: hid.Info{Path: "unix:" + socket}}
		if there {
			change.Kind = hid.Added
		}
		select {
		case changes <- change:
		case <-ctx.Done():
			return
		}
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
