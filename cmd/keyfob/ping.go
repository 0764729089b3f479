package main

import (
	"context"
	"fmt"
	"time"

	"github.com/keyfob-go/keyfob/authenticator"
)

func defineWink(f *flags) action {
	f.forKey()
	return withKey(func(ctx context.Context, inv *invocation, key *authenticator.Authenticator) (output, error) {
		if err := key.Wink(ctx); err != nil {
			return nil, err
		}
		return inv.done(inv.nameOf(key.Key()) + " has winked.")
	})
}

const (
	defaultPing = 57   // bytes that fit into one report
	maxPing     = 7609 // bytes that fit into one message
)

// pinging is what the command line of ping says.
type pinging struct{ size, count int }

func definePing(f *flags) action {
	f.forKey()
	p := &pinging{}
	f.IntVar(&p.size, "size", defaultPing, "send `N` bytes")
	f.IntVar(&p.count, "count", 1, "do it `N` times")
	return checked(p.check, withKey(p.perform))
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

func (p *pinging) perform(ctx context.Context, _ *invocation, key *authenticator.Authenticator) (output, error) {
	data := random(p.size)
	var times numbers[float64]
	for range p.count {
		start := time.Now()
		if err := key.Ping(ctx, data); err != nil {
			return nil, err
		}
		times = append(times, float64(time.Since(start).Microseconds())/1000)
	}
	return record{{"bytes", p.size}, {"milliseconds", times}}, nil
}
