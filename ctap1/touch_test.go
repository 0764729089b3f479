package ctap1

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// waiters are the operations that wait for a touch.
var waiters = map[string]func(*Client, context.Context) error{
	"register": func(c *Client, ctx context.Context) error {
		_, err := c.Register(ctx, [32]byte{}, [32]byte{})
		return err
	},
	"authenticate": func(c *Client, ctx context.Context) error {
		_, err := c.Authenticate(ctx, EnforceUserPresence, [32]byte{}, [32]byte{}, []byte("handle"))
		return err
	},
	"touch": func(c *Client, ctx context.Context) error { return c.Touch(ctx) },
}

// forEachWaiter runs test for each of them with a time of its own.
func forEachWaiter(t *testing.T, test func(t *testing.T, name string, wait func(*Client, context.Context) error)) {
	for name, wait := range waiters {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { test(t, name, wait) })
		})
	}
}

// answerTo is what a key that was touched answers.
func answerTo(t *testing.T, name string) []byte {
	if name == "authenticate" {
		return ok(unhex(t, exampleAssertion))
	}
	return ok(unhex(t, exampleRegistration))
}

func TestPollsUntilTheTouch(t *testing.T) {
	t.Parallel()
	forEachWaiter(t, func(t *testing.T, name string, wait func(*Client, context.Context) error) {
		const polls = 7
		waiting := slices.Repeat([][]byte{status(ErrConditionsNotSatisfied)}, polls)
		key := &script{answers: append(waiting, answerTo(t, name))}
		var told []byte
		c := &Client{Transport: key, Keepalive: func(s byte) {
			require.Len(t, key.sent, 1, "told at the wrong moment")
			told = append(told, s)
		}}
		start := time.Now()
		require.NoError(t, wait(c, t.Context()))
		require.Equal(t, polls*pollInterval, time.Since(start))
		require.Equal(t, []byte{2}, told)
		require.Len(t, key.sent, polls+1)
		for _, again := range key.sent {
			require.Equal(t, key.sent[0], again)
		}
	})
}

func TestNoCallbackIsNeeded(t *testing.T) {
	t.Parallel()
	forEachWaiter(t, func(t *testing.T, name string, wait func(*Client, context.Context) error) {
		key := &script{answers: [][]byte{status(ErrConditionsNotSatisfied), answerTo(t, name)}}
		require.NoError(t, wait(&Client{Transport: key}, t.Context()))
	})
}

func TestTouchIsNotAnnouncedToWhoeverTouchedAlready(t *testing.T) {
	t.Parallel()
	forEachWaiter(t, func(t *testing.T, name string, wait func(*Client, context.Context) error) {
		c := &Client{Transport: constant(answerTo(t, name)), Keepalive: func(byte) { t.Error("told") }}
		start := time.Now()
		require.NoError(t, wait(c, t.Context()))
		require.Zero(t, time.Since(start))
	})
}

func TestAnotherErrorEndsThePolling(t *testing.T) {
	t.Parallel()
	forEachWaiter(t, func(t *testing.T, _ string, wait func(*Client, context.Context) error) {
		key := &script{answers: [][]byte{status(ErrConditionsNotSatisfied), status(ErrWrongData)}}
		require.ErrorIs(t, wait(&Client{Transport: key}, t.Context()), ErrWrongData)
		require.Len(t, key.sent, 2)
	})
}

func TestCancelBetweenPolls(t *testing.T) {
	t.Parallel()
	forEachWaiter(t, func(t *testing.T, name string, wait func(*Client, context.Context) error) {
		anotherKey := errors.New("another key was touched")
		ctx, cancel := context.WithCancelCause(t.Context())
		const after = pollInterval*3 + pollInterval/2
		time.AfterFunc(after, func() { cancel(anotherKey) })
		key := &script{answers: [][]byte{status(ErrConditionsNotSatisfied)}}
		start := time.Now()
		err := wait(&Client{Transport: key}, ctx)
		require.EqualError(t, err, "ctap1: "+name+": another key was touched")
		require.ErrorIs(t, err, anotherKey)
		require.Equal(t, after, time.Since(start))
		require.Len(t, key.sent, 4)
	})
}

func TestDeadlineEndsThePolling(t *testing.T) {
	t.Parallel()
	forEachWaiter(t, func(t *testing.T, _ string, wait func(*Client, context.Context) error) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		start := time.Now()
		err := wait(&Client{Transport: constant(status(ErrConditionsNotSatisfied))}, ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 30*time.Second, time.Since(start))
	})
}

// A key that is never touched does not hold a caller whose context has no end.
func TestEndlessWaitEnds(t *testing.T) {
	t.Parallel()
	forEachWaiter(t, func(t *testing.T, _ string, wait func(*Client, context.Context) error) {
		told := 0
		c := &Client{Transport: constant(status(ErrConditionsNotSatisfied)), Keepalive: func(byte) { told++ }}
		start := time.Now()
		require.ErrorIs(t, wait(c, context.Background()), ErrConditionsNotSatisfied)
		require.Equal(t, touchTimeout, time.Since(start))
		require.Equal(t, 1, told)
	})
}

// A key that only knows the short encoding is polled in it.
func TestPollsInTheShortEncoding(t *testing.T) {
	t.Parallel()
	forEachWaiter(t, func(t *testing.T, name string, wait func(*Client, context.Context) error) {
		waiting := 3
		c := &Client{Transport: keyFunc(func(apdu []byte) ([]byte, error) {
			if apdu[4] == 0 {
				return status(ErrWrongLength), nil
			}
			if waiting--; waiting >= 0 {
				return status(ErrConditionsNotSatisfied), nil
			}
			return answerTo(t, name), nil
		})}
		require.NoError(t, wait(c, t.Context()))
		require.Equal(t, -1, waiting)
	})
}

func TestTouchRegistersForNobody(t *testing.T) {
	t.Parallel()
	key := &script{answers: [][]byte{ok(nil)}} // whatever a key makes of it
	require.NoError(t, (&Client{Transport: key}).Touch(t.Context()))
	data := append(bytes.Repeat([]byte("B"), 32), bytes.Repeat([]byte("A"), 32)...)
	require.Equal(t, [][]byte{slices.Concat(unhex(t, "00 01 00 00 00 00 40"), data, []byte{0, 0})}, key.sent)
}
