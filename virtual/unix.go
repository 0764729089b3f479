package virtual

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"
)

// ServeUnix serves the key at a Unix socket until ctx is done, and returns its cause. Every connection is one more
// open of the key. The socket is of type SOCK_SEQPACKET, one raw report of 64 bytes a packet, and only its owner
// may connect. A socket at path that nobody serves any more is replaced; anything else there is an error. On
// systems without such sockets ServeUnix fails.
//
// Unless it is nil, ready is called, once, when others can connect. It must not block.
//
// A platform opens it by the path "unix:" + path, if it is keyfob.
func (a *Authenticator) ServeUnix(ctx context.Context, path string, ready func()) error {
	l, err := listenUnix(ctx, path)
	if err != nil {
		return fmt.Errorf("virtual: %w", err)
	}
	if ready != nil {
		ready()
	}
	return a.serveListener(ctx, l)
}

func (a *Authenticator) serveListener(ctx context.Context, l net.Listener) error {
	defer context.AfterFunc(ctx, func() { l.Close() })() // the socket's file goes with it
	defer l.Close()
	var connections sync.WaitGroup
	defer connections.Wait()
	serving, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		conn, err := l.Accept()
		switch {
		case err != nil && ctx.Err() != nil:
			return fmt.Errorf("virtual: serve: %w", context.Cause(ctx))
		case err != nil:
			return fmt.Errorf("virtual: %w", err)
		}
		connections.Go(func() { a.Serve(serving, conn) }) // how it ends is the platform's business
	}
}

func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	if err := removeStaleSocket(ctx, path); err != nil {
		return nil, err
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var restricted error
		err := c.Control(func(fd uintptr) { restricted = restrictSocket(fd) })
		return errors.Join(err, restricted)
	}}
	l, err := config.Listen(ctx, "unixpacket", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// removeStaleSocket makes room for a new socket where an old one was left behind.
func removeStaleSocket(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s: %w, and is no socket", path, fs.ErrExist)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unixpacket", path)
	if err == nil {
		conn.Close()
		return fmt.Errorf("%s: %w: somebody serves it", path, syscall.EADDRINUSE)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}
