package main

import (
	"bufio"
	"context"
	"io"

	"github.com/keyfob-go/keyfob/virtual"
)

// touchByLines returns the user of a virtual key who touches it once for each line of r. A line that comes before the key
// waits for a touch counts for the next time.
func touchByLines(ctx context.Context, r io.Reader) func(context.Context, virtual.Prompt) error {
	touches := make(chan struct{})
	go func() { // it ends with the program: nothing interrupts a Read of standard input
		for lines := bufio.NewScanner(r); lines.Scan(); {
			select {
			case touches <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return func(ctx context.Context, _ virtual.Prompt) error {
		select {
		case <-touches:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
