package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyfob-go/keyfob/authenticator"
)

func winkCommand(inv *invocation) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "wink",
		Short: "Make a key blink, to see which one it is.",
		Args:  cobra.NoArgs,
		RunE: inv.withKey(func(ctx context.Context, key *authenticator.Authenticator) (output, error) {
			if err := key.Wink(ctx); err != nil {
				return nil, err
			}
			return inv.done(inv.nameOf(key.Key()) + " has winked.")
		}),
	}
	inv.forKey(cmd)
	return cmd
}

const (
	defaultPing = 57   // bytes that fit into one report
	maxPing     = 7609 // bytes that fit into one message
)

// pinging is what the command line of ping says.
type pinging struct {
	size, count int
	progress    func(done, total int)
}

func pingCommand(inv *invocation) *cobra.Command {
	p := &pinging{progress: inv.display.progress}
	cmd := &cobra.Command{
		Use:     "ping",
		Short:   "Send data to a key and back, and show how long that takes.",
		Args:    cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error { return p.check() },
		RunE:    inv.withKey(p.perform),
	}
	inv.forKey(cmd)
	f := cmd.Flags()
	f.IntVar(&p.size, "size", defaultPing, "send `N` bytes")
	f.IntVar(&p.count, "count", 1, "do it `N` times")
	return cmd
}

func (p *pinging) check() error {
	switch {
	case p.size < 0 || p.size > maxPing:
		return usageError(fmt.Sprintf("--size is not between 0 and %d", maxPing))
	case p.count < 1:
		return usageError("--count is less than 1")
	}
	return nil
}

func (p *pinging) perform(ctx context.Context, key *authenticator.Authenticator) (output, error) {
	data := random(p.size)
	var times numbers[float64]
	for n := range p.count {
		start := time.Now()
		if err := key.Ping(ctx, data); err != nil {
			return nil, err
		}
		times = append(times, float64(time.Since(start).Microseconds())/1000)
		p.progress(n+1, p.count)
	}
	return record{{"bytes", p.size}, {"milliseconds", times}}, nil
}
