//go:build freebsd || linux

package hid

import (
	"bytes"
	"context"
	"io"
)

// maxDevdMessage is more than devd sends at once, see DEVCTL_MAXBUF in its sys/devctl.h.
const maxDevdMessage = 8192

// devdChanges listens to FreeBSD's devd(8), which tells everybody at its socket about each node that comes or goes. Where
// it doesn't run, or stops, this looks every now and then. (On Linux it serves the tests.)
func devdChanges(ctx context.Context, socket string) <-chan struct{} {
	conn, err := dialSeqpacket(socket)
	if err != nil {
		return poll(ctx, pollInterval)
	}
	changed := make(chan struct{}, 1)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	go func() {
		defer close(changed)
		relayDevd(conn, changed)
		if stop() {
			conn.Close()
		}
		for range poll(ctx, pollInterval) {
			signal(changed)
		}
	}()
	return changed
}

// relayDevd returns when the connection ends.
func relayDevd(conn io.Reader, changed chan<- struct{}) {
	b := make([]byte, maxDevdMessage)
	for {
		n, err := conn.Read(b)
		if err != nil {
			return
		}
		if isNodeEvent(b[:n]) {
			signal(changed)
		}
	}
}

// isNodeEvent tells messages like "!system=DEVFS subsystem=CDEV type=CREATE cdev=u2f/0" from those about other things.
func isNodeEvent(message []byte) bool {
	for _, node := range []string{"cdev=u2f/", "cdev=uhid", "cdev=hidraw"} {
		if bytes.Contains(message, []byte(node)) {
			return true
		}
	}
	return false
}
