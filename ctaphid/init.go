package ctaphid

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
)

const (
	nonceSize     = 8
	initReplySize = 17
)

// initReply is the answer to INIT.
type initReply struct {
	cid  uint32
	info DeviceInfo
}

// parseInitReply decodes the answer to INIT. A device may append members.
func parseInitReply(data []byte) (r initReply, err error) {
	if len(data) < initReplySize {
		return r, fmt.Errorf("%w: answer to INIT of %d bytes", ErrProtocol, len(data))
	}
	r.cid = binary.BigEndian.Uint32(data[nonceSize:])
	if r.cid == 0 || r.cid == BroadcastCID {
		return r, fmt.Errorf("%w: reserved channel %08x", ErrProtocol, r.cid)
	}
	r.info = DeviceInfo{
		ProtocolVersion: data[12],
		DeviceVersion:   [3]byte(data[13:16]),
		Capabilities:    Capabilities(data[16]),
	}
	return r, nil
}

// allocate asks for a channel. The device may be busy with another client's.
func (c *Channel) allocate(ctx context.Context) error {
	_, err := c.untilIdle(ctx, func() ([]byte, error) {
		return nil, c.handshake(ctx, BroadcastCID)
	})
	c.lost = err != nil
	return err
}

// handshake sends INIT and waits for the answer with the same nonce. On the broadcast channel it allocates a channel; on
// our own it aborts what runs there. All that arrives before the answer is dropped.
func (c *Channel) handshake(ctx context.Context, cid uint32) error {
	var nonce [nonceSize]byte
	rand.Read(nonce[:]) // never fails
	in := c.expect(reception{cid: cid, accept: func(m *message) bool {
		return m.cmd == CommandInit && bytes.HasPrefix(m.data, nonce[:]) || m.isBusy()
	}})
	if err := c.send(ctx, cid, CommandInit, nonce[:]); err != nil {
		return err
	}
	if err := c.receive(ctx, in, nil, c.limits.Init, c.limits.Init); err != nil {
		return err
	}
	if in.isBusy() {
		return ErrChannelBusy
	}
	r, err := parseInitReply(in.data)
	if err != nil {
		return err
	}
	if cid != BroadcastCID && r.cid != cid {
		return fmt.Errorf("%w: resynchronized to another channel", ErrProtocol)
	}
	c.cid = r.cid
	if c.info == (DeviceInfo{}) { // the first answer, before anybody can ask for it
		c.info = r.info
	}
	return nil
}

// isBusy says that the message is the error of a device that has no time for us.
func (m *message) isBusy() bool {
	return m.cmd == CommandError && len(m.data) > 0 && Error(m.data[0]) == ErrChannelBusy
}
