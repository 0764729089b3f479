package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"filippo.io/age"
	"filippo.io/age/plugin"
	"github.com/keyfob-go/keyfob/authenticator"
)

// legacyIdentity is the data of the identity that age-plugin-fido2-hmac -m prints, for the times before age -j.
const legacyIdentity = "fido2-hmac"

// servePlugin speaks age's plugin protocol on standard input and output: age asks the user for what we need. It returns
// the exit status.
func servePlugin(ctx context.Context, client *authenticator.Client) int {
	p, err := plugin.New(pluginName)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	client.UI = pluginUI(p)
	p.HandleRecipient(func(data []byte) (age.Recipient, error) { return decodeRecipient(data) })
	p.HandleIdentity(func(data []byte) (age.Identity, error) {
		if len(data) > 0 && !bytes.Equal(data, []byte(legacyIdentity)) {
			return nil, errors.New("identities with a credential of their own are not supported, only -j " + pluginName)
		}
		return &identity{ctx, client}, nil
	})
	return p.Main()
}

// asker is the part of age that talks to the user.
type asker interface {
	RequestValue(prompt string, secret bool) (string, error)
	DisplayMessage(message string) error
}

// pluginUI has age ask and tell. News come at any time, but wait while age asks: its protocol has one answer at a time.
func pluginUI(age asker) *authenticator.UI {
	turn := make(chan struct{}, 1)
	return &authenticator.UI{
		PIN: func(ctx context.Context, req *authenticator.PINRequest) ([]byte, error) {
			question, err := pinQuestion(ctx, req)
			if err != nil {
				return nil, err
			}
			turn <- struct{}{}
			defer func() { <-turn }()
			pin, err := age.RequestValue(question, true)
			return []byte(pin), err
		},
		Notify: func(e authenticator.Event) {
			if message := messageOf(e); message != "" {
				turn <- struct{}{}
				defer func() { <-turn }()
				age.DisplayMessage(message)
			}
		},
	}
}
