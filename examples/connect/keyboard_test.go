package main

import (
	"context"
	"io"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// countingReader counts the reads that have begun.
type countingReader struct {
	io.Reader
	reads int
}

func (c *countingReader) Read(p []byte) (int, error) {
	c.reads++
	return c.Reader.Read(p)
}

func TestWithdrawnQuestionTakesNothingFromTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		theirs, ours := io.Pipe()
		terminal := &countingReader{Reader: theirs}
		keys := &keyboard{terminal: terminal, typed: make(chan typed, 1)}
		b := make([]byte, 256)
		for range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := keys.read(ctx, b)
			require.ErrorIs(t, err, context.Canceled)
		}
		synctest.Wait()
		require.Equal(t, 1, terminal.reads, "two would share what is typed")
		go ours.Write([]byte("1234 and what is not for us"))
		var pin []byte
		for range 4 {
			n, err := keys.read(t.Context(), b)
			require.NoError(t, err)
			pin = append(pin, b[:n]...)
		}
		require.Equal(t, "1234", string(pin))
		synctest.Wait()
		require.Equal(t, 4, terminal.reads, "what comes now is for other programs")
		ours.Close()
		theirs.Close()
	})
}
