//go:build hidapi

package main

import (
	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/hid/hidapi"
)

// newClient returns a client that finds keys with HIDAPI.
func newClient() *authenticator.Client {
	return &authenticator.Client{Watch: hidapi.Watch, Open: hidapi.Open}
}
