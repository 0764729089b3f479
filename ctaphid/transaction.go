package ctaphid

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// transact runs one transaction: it waits for its turn, sends the request and returns the answer.
func (c *Channel) transact(ctx context.Context, cmd Command, payload []byte, keepalive func(byte)) ([]byte, error) {
	answer, err := c.transactInTurn(ctx, cmd, payload, keepalive)
	if err != nil {
		return nil, fmt.Errorf("ctaphid: %v: %w", cmd, err)
	}
	return answer, nil
}

func (c *Channel) transactInTurn(ctx context.Context, cmd Command, payload []byte, keepalive func(byte)) ([]byte, error) {
	if len(payload) > maxMessage(c.outSize) {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLong, len(payload), maxMessage(c.outSize))
	}
	if err := c.begin(ctx); err != nil {
		return nil, err
	}
	defer c.end()
	if c.lost {
		if err := c.allocate(ctx); err != nil {
			return nil, err
		}
	}
	try := func() ([]byte, error) { return c.exchange(ctx, cmd, payload, keepalive) }
	answer, err := c.untilIdle(ctx, try)
	if errors.Is(err, ErrInvalidChannel) { // the device forgot us: it was reset, or ran out of channels
		if err := c.allocate(ctx); err != nil {
			return nil, err
		}
		return c.untilIdle(ctx, try)
	}
	return answer, err
}

// untilIdle repeats try for as long as the device is busy with another channel.
func (c *Channel) untilIdle(ctx context.Context, try func() ([]byte, error)) ([]byte, error) {
	for backOff := minBackOff; ; backOff = min(2*backOff, maxBackOff) {
		answer, err := try()
		if !errors.Is(err, ErrChannelBusy) {
			return answer, err
		}
		c.timer.Reset(backOff)
		select {
		case <-c.timer.C:
		case <-c.gone:
			return nil, c.goneErr
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// exchange sends one request and receives the answer. When it fails in a way that leaves an answer outstanding, the
// channel is brought back in step before it returns.
func (c *Channel) exchange(ctx context.Context, cmd Command, payload []byte, keepalive func(byte)) ([]byte, error) {
	in := c.expect(reception{cid: c.cid})
	if err := c.send(ctx, c.cid, cmd, payload); err != nil {
		c.abandon()
		return nil, err
	}
	err := c.receive(ctx, in, keepalive, c.limits.Reply, c.limits.Total)
	switch {
	case err != nil && ctx.Err() != nil:
		c.cancel(cmd, in)
		return nil, context.Cause(ctx)
	case err != nil:
		c.abandon()
		return nil, err
	case in.cmd == CommandError:
		return nil, in.deviceError()
	case in.cmd != cmd:
		c.abandon()
		return nil, fmt.Errorf("%w: answered with %v", ErrProtocol, in.cmd)
	}
	return in.data, nil
}

// send writes a message, one report after the other. A device that takes them too slowly, or none after ctx is done, is
// closed: nothing else ends a write.
func (c *Channel) send(ctx context.Context, cid uint32, cmd Command, payload []byte) error {
	reports := len(payload) / (c.outSize - contHeader)
	c.watch.begin(ctx, c.limits.Write+time.Duration(reports)*reportTime)
	err := c.sendReports(ctx, cid, cmd, payload)
	stalled := c.watch.end()
	switch {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil && stalled:
		return fmt.Errorf("%w: it takes no report", ErrTimeout)
	}
	return err
}

func (c *Channel) sendReports(ctx context.Context, cid uint32, cmd Command, payload []byte) error {
	rest := payload[putInit(c.packet, cid, cmd, payload):]
	if _, err := c.dev.Write(c.packet); err != nil {
		return err
	}
	for seq := byte(0); len(rest) > 0; seq++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		rest = rest[putCont(c.packet, cid, seq, rest):]
		if _, err := c.dev.Write(c.packet); err != nil {
			return err
		}
	}
	return nil
}

// receive waits until the reader has collected in. It gives the device silence for the first packet and after each
// keepalive, Deadlines.Packet for each other packet, and total in all. Setting the timer anew for each packet would cost more
// than the packet, so a device that falls silent is noticed after twice the time at the latest.
func (c *Channel) receive(
	ctx context.Context, in *reception, keepalive func(byte), silence, total time.Duration,
) error {
	end := time.Now().Add(total)
	c.timer.Reset(min(silence, total))
	defer c.timer.Stop()
	for {
		err := c.wait(ctx)
		news := c.news(in)
		for _, status := range news.statuses {
			if keepalive != nil {
				keepalive(status)
			}
		}
		switch {
		case news.done:
			return news.err
		case err == ErrTimeout && news.progress && time.Now().Before(end):
			next := silence
			if news.open {
				next = c.limits.Packet
			}
			c.timer.Reset(min(next, time.Until(end)))
		case err != nil:
			return err
		}
	}
}

// wait returns nil when there is news, or why there will be none.
func (c *Channel) wait(ctx context.Context) error {
	select {
	case <-c.wake:
		return nil
	case <-c.timer.C:
		return ErrTimeout
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.gone:
		return c.goneErr
	}
}

// cancel stops the request whose answer is being received. Only CBOR requests can be cancelled (section 11.2.9.1.5).
func (c *Channel) cancel(cmd Command, in *reception) {
	ctx := context.Background() // the caller's is done
	if cmd != CommandCBOR || c.send(ctx, c.cid, CommandCancel, nil) != nil ||
		c.receive(ctx, in, nil, c.limits.Cancel, c.limits.Cancel) != nil ||
		in.cmd != cmd { // such as an error: the answer may still come
		c.abandon()
	}
}

// abandon makes the device forget the request whose answer will not be received: INIT on a channel aborts what runs on
// it (section 11.2.9.1.3). The answer may come nevertheless, from some devices even after they confirmed, so the next
// transaction asks for a new channel, where nobody can take it for another's.
func (c *Channel) abandon() {
	select {
	case <-c.gone:
		return
	default:
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.limits.Resync)
	defer cancel()
	c.handshake(ctx, c.cid) // whether it confirms makes no difference
	c.lost = true
}
