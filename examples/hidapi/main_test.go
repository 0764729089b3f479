package main

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/virtual"
)

// The program registers on any key that its client finds.
func TestRun(t *testing.T) {
	t.Parallel()
	key, err := virtual.New(virtual.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { key.Close() })
	var hub virtual.Hub
	hub.Plug(key)
	var mu sync.Mutex
	var told []authenticator.EventKind
	require.NoError(t, run(t.Context(), &authenticator.Client{
		Watch: hub.Watch, Open: hub.Open, UI: &authenticator.UI{Notify: func(e authenticator.Event) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, e.Kind)
			tell(e)
		}},
	}))
	require.Contains(t, told, authenticator.EventTouched)
}
