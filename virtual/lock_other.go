//go:build !(linux || darwin || freebsd || openbsd || netbsd || dragonfly)

package virtual

// stateLock is nothing: this system has no locks of the kind.
type stateLock struct{}

func lockState(string) (*stateLock, error) { return nil, nil }

func (*stateLock) release() {}
