package main

import (
	"context"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/hid"
)

// only returns a client that sees nothing but one security key.
func only(client *authenticator.Client, info hid.Info) *authenticator.Client {
	return &authenticator.Client{UI: client.UI, Open: client.Open,
		Watch: func(ctx context.Context) ([]hid.Info, <-chan hid.Event, error) {
			none := make(chan hid.Event)
			context.AfterFunc(ctx, func() { close(none) })
			return []hid.Info{info}, none, nil
		}}
}
