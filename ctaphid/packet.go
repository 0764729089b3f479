package ctaphid

import (
	"encoding/binary"
	"fmt"
)

const (
	initHeader    = 7 // CID, command, length
	contHeader    = 5 // CID, sequence number
	initBit       = 0x80
	maxSequence   = 0x7f
	minReportSize = initHeader + 1
	maxReportSize = 1 << 12
)

// maxMessage is the longest message that fits reports of the given size: 7609 bytes for 64.
func maxMessage(reportSize int) int {
	n := reportSize - initHeader + (maxSequence+1)*(reportSize-contHeader)
	return min(n, 0xffff)
}

// putInit fills report with an initialization packet and returns how much of payload went in.
func putInit(report []byte, cid uint32, cmd Command, payload []byte) int {
	clear(report)
	binary.BigEndian.PutUint32(report, cid)
	report[4] = byte(cmd) | initBit
	binary.BigEndian.PutUint16(report[5:], uint16(len(payload)))
	return copy(report[initHeader:], payload)
}

// putCont fills report with a continuation packet and returns how much of payload went in.
func putCont(report []byte, cid uint32, seq byte, payload []byte) int {
	clear(report)
	binary.BigEndian.PutUint32(report, cid)
	report[4] = seq
	return copy(report[contHeader:], payload)
}

// message is an incoming message while its packets arrive.
type message struct {
	cmd  Command
	data []byte // its capacity is the length that the first packet announced
	seq  byte   // of the next continuation packet
	open bool   // the first packet is in, the last is not
}

// add takes one report of the message's channel, but for keepalives, and says whether the message is complete with it.
func (m *message) add(report []byte) (complete bool, err error) {
	if report[4]&initBit == 0 {
		return m.addCont(report)
	}
	if m.open {
		return false, fmt.Errorf("%w: message %v begins inside message %v", ErrProtocol, packetCommand(report), m.cmd)
	}
	size := int(binary.BigEndian.Uint16(report[5:]))
	if size > maxMessage(len(report)) {
		return false, fmt.Errorf("%w: message of %d bytes", ErrProtocol, size)
	}
	*m = message{cmd: packetCommand(report), data: make([]byte, 0, size)}
	return m.fill(report[initHeader:]), nil
}

func (m *message) addCont(report []byte) (complete bool, err error) {
	if !m.open {
		return false, fmt.Errorf("%w: continuation packet without a message", ErrProtocol)
	}
	if report[4] != m.seq {
		return false, fmt.Errorf("%w: packet %d instead of %d", ErrProtocol, report[4], m.seq)
	}
	m.seq++
	return m.fill(report[contHeader:]), nil
}

func (m *message) fill(part []byte) (complete bool) {
	m.data = append(m.data, part[:min(len(part), cap(m.data)-len(m.data))]...)
	m.open = len(m.data) < cap(m.data)
	return !m.open
}

// packetCommand returns the command of an initialization packet.
func packetCommand(report []byte) Command { return Command(report[4] &^ initBit) }

// packetCID returns the channel of a packet.
func packetCID(report []byte) uint32 { return binary.BigEndian.Uint32(report) }

// isKeepalive reports whether the packet is a keepalive, and its status.
func isKeepalive(report []byte) (status byte, ok bool) {
	if report[4] != byte(CommandKeepalive)|initBit || binary.BigEndian.Uint16(report[5:]) == 0 {
		return 0, false
	}
	return report[initHeader], true
}
