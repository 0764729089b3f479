package main

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
)

// TestPluginAsksAndTellsInTurn has something happen while age asks for the PIN.
func TestPluginAsksAndTellsInTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		age := &busyAge{t: t}
		age.ui = pluginUI(age)
		answer, err := age.ui.PIN(t.Context(), &authenticator.PINRequest{})
		require.NoError(t, err)
		require.Equal(t, pin, string(answer))
		synctest.Wait()
		require.Equal(t, []string{"insert a security key"}, age.told)
	})
}

// busyAge is an age whose user takes time to answer.
type busyAge struct {
	t    *testing.T
	ui   *authenticator.UI
	told []string
}

func (a *busyAge) RequestValue(string, bool) (string, error) {
	go a.ui.Notify(authenticator.Event{Kind: authenticator.EventInsert})
	synctest.Wait()
	require.Empty(a.t, a.told)
	return pin, nil
}

func (a *busyAge) DisplayMessage(message string) error {
	a.told = append(a.told, message)
	return nil
}
