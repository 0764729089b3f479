package main

import (
	"context"
	"io"

	"github.com/keyfob-go/keyfob/hid"
)

// use makes the toucher use the key at a path only: a node, or the socket of a key that is forwarded or in software.
// Without it, it uses all that are plugged in.
func (t *toucher) use(path string) {
	t.client.Watch = func(ctx context.Context) ([]hid.Info, <-chan hid.Event, error) {
		none := make(chan hid.Event) // it neither comes nor goes
		context.AfterFunc(ctx, func() { close(none) })
		return []hid.Info{{Path: path}}, none, nil
	}
	t.client.Open = func(path string) (io.ReadWriteCloser, error) { return hid.Open(path) }
}
