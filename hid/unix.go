package hid

import (
	"fmt"
	"io"
	"syscall"
)

const (
	unixPrefix = "unix:"
	unixReport = 64
)

// unixRemoved is what a SOCK_SEQPACKET socket says when the peer is gone. An empty packet looks like EOF and so
// counts as one.
var unixRemoved = []error{io.EOF, syscall.ECONNRESET, syscall.EPIPE}

func openUnix(path string) (*Device, error) {
	conn, err := dialSeqpacket(path)
	if err != nil {
		return nil, fmt.Errorf("hid: open %s%s: %w", unixPrefix, path, cause(err))
	}
	return newDevice(backend{
		conn:    conn,
		info:    Info{Path: unixPrefix + path, Bus: BusUnix},
		reports: reports{in: report{size: unixReport}, out: report{size: unixReport}},
		removed: unixRemoved,
	}), nil
}
