package main

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWithdrawnQuestionTakesNothingFromTheNext(t *testing.T) {
	t.Parallel()
	theirs, ours, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() {
		ours.Close() // ends the last read
		theirs.Close()
	})
	keys := newKeyboard(theirs)
	b := make([]byte, 256)
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = keys.read(ctx, b)
		require.ErrorIs(t, err, context.Canceled)
	}
	_, err = ours.WriteString("1234")
	require.NoError(t, err)
	var pin []byte
	for range 4 {
		n, err := keys.read(t.Context(), b)
		require.NoError(t, err)
		pin = append(pin, b[:n]...)
	}
	require.Equal(t, "1234", string(pin))
	require.False(t, keys.reading, "what comes now is for others")
}
