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

// parseInitReply decodes the answer to the INIT with the given nonce; it is not ours if the nonce is another one. A
// device may append members.
func parseInitReply(data, nonce []byte) (r initReply, ours bool, err error) {
	if len(data) < nonceSize || !bytes.Equal(data[:nonceSize], nonce) {
		return r, false, nil
	}
	if len(data) < initReplySize {
		return r, true, fmt.Errorf("%w: answer to INIT of %d bytes", ErrProtocol, len(data))
	}
	r.cid = binary.BigEndian.Uint32(data[8:])
	if r.cid == 0 || r.cid == BroadcastCID {
		return r, true, fmt.Errorf("%w: reserved channel %08x", ErrProtocol, r.cid)
	}
	r.info = DeviceInfo{
		ProtocolVersion: data[12],
		DeviceVersion:   [3]byte(data[13:16]),
		Capabilities:    Capabilities(data[16]),
	}
	return r, true, nil
}

// allocate asks for a channel. The device may be busy with another client's.
func (c *Channel) allocate(ctx context.Context) error {
	_, err := c.untilIdle(ctx, func() ([]byte, error) {
		limited, cancel := context.WithTimeoutCause(ctx, initTimeout, ErrTimeout)
		defer cancel()
		return nil, c.handshake(limited, BroadcastCID)
	})
	c.lost = err != nil
	return err
}

// handshake sends INIT and waits for the answer with the same nonce. On the broadcast channel it allocates a channel; on
// our own it aborts what runs there. All that arrives before the answer is dropped.
func (c *Channel) handshake(ctx context.Context, cid uint32) error {
	var nonce [nonceSize]byte
	rand.Read(nonce[:]) // never fails
	if err := c.send(ctx, cid, CommandInit, nonce[:]); err != nil {
		return err
	}
	c.timer.Stop() // ctx has the deadline
	var m message
	for {
		report, err := c.next(ctx)
		if err != nil {
			return err
		}
		if packetCID(report) != cid || !m.addLoosely(report) {
			continue
		}
		if m.cmd == CommandError && len(m.data) > 0 && Error(m.data[0]) == ErrChannelBusy {
			return ErrChannelBusy
		}
		if m.cmd != CommandInit {
			continue
		}
		r, ours, err := parseInitReply(m.data, nonce[:])
		if err != nil {
			return err
		}
		if ours {
			return c.adopt(cid, r)
		}
	}
}

// addLoosely is add amid the remains of an answer that nobody waits for: what does not fit is dropped.
func (m *message) addLoosely(report []byte) (complete bool) {
	if report[4]&initBit != 0 {
		m.open = false
	}
	complete, err := m.add(report)
	if err != nil {
		m.open = false
	}
	return complete
}

func (c *Channel) adopt(cid uint32, r initReply) error {
	if cid != BroadcastCID && r.cid != cid {
		return fmt.Errorf("%w: resynchronized to another channel", ErrProtocol)
	}
	c.cid, c.info = r.cid, r.info
	return nil
}
