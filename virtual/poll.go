package virtual

import (
	"context"
	"time"

	"github.com/keyfob-go/keyfob/ctap2"
)

// Times of U2F, which leaves them to the makers. Platforms poll some ten times a second.
const (
	pollPatience = time.Second      // without being asked, until the key blinks no more
	touchMemory  = 10 * time.Second // so long a touch counts that nobody has asked for yet
)

// poll is the user being asked for a touch while U2F does not wait for it.
type poll struct {
	touched bool
	cancel  context.CancelFunc // of the callback
	end     *time.Timer        // ends the poll
}

// isTouched uses up the touch, if there was one. If not, the user is asked from now on.
func (a *Authenticator) isTouched(cmd ctap2.Command) bool {
	p := a.volatile.poll
	switch {
	case a.config.UserPresence == nil:
		return true
	case p == nil:
		a.startPoll(Prompt{Command: cmd})
		return false
	case !p.touched:
		p.end.Reset(pollPatience)
		return false
	}
	a.endPoll()
	return true
}

func (a *Authenticator) startPoll(prompt Prompt) {
	ctx, cancel := context.WithCancel(context.Background())
	p := &poll{cancel: cancel}
	p.end = time.AfterFunc(pollPatience, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.volatile.poll == p {
			a.endPoll()
		}
	})
	a.volatile.poll = p
	a.polls.Go(func() {
		a.asking.Lock()
		err := a.config.UserPresence(ctx, prompt)
		a.asking.Unlock()
		a.mu.Lock()
		defer a.mu.Unlock()
		if err == nil && a.volatile.poll == p {
			p.touched = true
			p.end.Reset(touchMemory)
		}
	})
}

func (a *Authenticator) endPoll() {
	if p := a.volatile.poll; p != nil {
		p.cancel()
		p.end.Stop()
		a.volatile.poll = nil
	}
}
