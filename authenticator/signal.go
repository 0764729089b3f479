package authenticator

import "context"

// signal is on or off, and others can wait until it is on. The zero value is off. Its user guards it.
type signal struct {
	ctx  context.Context // done while the signal is on; nil before the first use
	stop context.CancelFunc
}

func (s *signal) set(on bool) {
	s.begin()
	switch was := s.ctx.Err() != nil; {
	case on && !was:
		s.stop()
	case was && !on:
		s.ctx = nil
	}
}

// on returns a channel that is closed as soon as the signal is on.
func (s *signal) on() <-chan struct{} {
	s.begin()
	return s.ctx.Done()
}

// then runs f, in a goroutine of its own, as soon as the signal is on, unless stop is called before.
func (s *signal) then(f func()) (stop func() bool) {
	s.begin()
	return context.AfterFunc(s.ctx, f)
}

func (s *signal) begin() {
	if s.ctx == nil {
		s.ctx, s.stop = context.WithCancel(context.Background())
	}
}
