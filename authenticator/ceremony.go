package authenticator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/keyfob-go/keyfob/hid"
)

// ceremony runs one piece of work on all keys at once until it ends on one of them: with a result, or with an error after
// the user touched that key or gave its PIN. Each key has a player, with a goroutine of its own.
type ceremony[T any] struct {
	client *Client
	work   func(context.Context, *player[T]) (T, error)
	news   *bulletin

	running sync.WaitGroup
	verdict chan verdict[T]

	mu      sync.Mutex            // guards the fields below
	players map[string]*player[T] // those that the user can still touch, by the path of their key
	chosen  *player[T]            // the one that the user decided for; no other may ask or end anything
	several bool                  // there are several players
	alone   signal                // on while there are not
	denied  map[string]hid.Info   // those that nobody may open yet
	gone    map[string]bool       // those that were pulled, and of which the watch has yet to tell
	dropped error                 // why the last key that was dropped was
}

// verdict is how a ceremony ends.
type verdict[T any] struct {
	result T
	err    error
}

// errNotChosen is why the keys that lose are cancelled.
var errNotChosen = errors.New("authenticator: the user chose another key")

// conduct runs a ceremony. When it returns, every key has been told to stop and is closed, no callback runs, and the watch
// is over.
func conduct[T any](ctx context.Context, client *Client, work func(context.Context, *player[T]) (T, error)) (result T, err error) {
	c := &ceremony[T]{
		client:  client,
		work:    work,
		news:    newBulletin(client.ui().Notify),
		verdict: make(chan verdict[T], 1),
		players: make(map[string]*player[T]),
		denied:  make(map[string]hid.Info),
		gone:    make(map[string]bool),
	}
	defer c.news.close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer c.running.Wait()
	defer cancel(errNotChosen)

	present, changes, err := client.watch(ctx)
	if err != nil {
		return result, err
	}
	defer func(watch <-chan hid.Event) {
		cancel(errNotChosen)
		for range watch { // until nothing is left of it
		}
	}(changes)
	c.begin(ctx, present)
	for {
		select {
		case v := <-c.verdict:
			return v.result, v.err
		case <-ctx.Done():
			return result, c.expired(ctx)
		case change, ok := <-changes:
			if !ok { // the watch ends when ctx does
				changes = nil
				continue
			}
			c.apply(ctx, change)
		}
	}
}

// expired says how the ceremony ends without the user: a key that could not take part may be why.
func (c *ceremony[T]) expired(ctx context.Context) error {
	err := context.Cause(ctx)
	if done := ctx.Err(); !errors.Is(err, done) {
		err = fmt.Errorf("%w: %w", done, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case len(c.players) > 0:
		return err
	case c.dropped != nil:
		return fmt.Errorf("%w; %v", err, c.dropped)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", errNoKey, err)
	}
	return err
}

// begin lets the keys that are there take part. All join before the first plays, so that none thinks it is alone.
func (c *ceremony[T]) begin(ctx context.Context, present []hid.Info) {
	for _, key := range present {
		c.join(ctx, key)
		if key.Err != nil {
			c.deny(key)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count()
	for _, p := range c.players {
		c.running.Go(p.play)
	}
}

// apply follows what happens to the keys while the ceremony runs.
func (c *ceremony[T]) apply(ctx context.Context, change hid.Event) {
	key := change.Info
	if change.Kind == hid.Removed {
		c.removed(key)
		return
	}
	c.mu.Lock()
	_, plays := c.players[key.Path]
	c.mu.Unlock()
	if plays { // some name of it is another now
		return
	}
	if p := c.join(ctx, key); p != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.count()
		c.running.Go(p.play)
	}
	if key.Err != nil && change.Kind == hid.Added {
		c.running.Go(func() { c.denyLater(ctx, key) })
	}
}

// join makes a player for key, unless the user has chosen already or the key cannot be opened.
func (c *ceremony[T]) join(ctx context.Context, key hid.Info) *player[T] {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.chosen != nil:
		return nil
	case key.Err != nil:
		c.denied[key.Path] = key
		return nil
	}
	delete(c.denied, key.Path)
	p := &player[T]{c: c, key: key}
	p.ctx, p.cancel = context.WithCancelCause(ctx)
	c.players[key.Path] = p
	c.news.post(Event{Kind: EventAdded, Key: key})
	return p
}

// permissionDelay is more than systems take to let their user open a new key.
const permissionDelay = time.Second

// denyLater drops a new key if it still cannot be opened after a while.
func (c *ceremony[T]) denyLater(ctx context.Context, key hid.Info) {
	select {
	case <-time.After(permissionDelay):
		c.deny(key)
	case <-ctx.Done():
	}
}

// deny says why a key cannot take part.
func (c *ceremony[T]) deny(key hid.Info) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, denied := c.denied[key.Path]; denied && c.chosen == nil {
		delete(c.denied, key.Path) // once will do
		c.dropped = key.Err
		c.news.post(Event{Kind: EventDropped, Key: key, Err: key.Err})
	}
}

// count tells what follows from how many keys there are, with mu held.
func (c *ceremony[T]) count() {
	several := len(c.players) > 1
	switch {
	case len(c.players) == 0:
		c.news.post(Event{Kind: EventInsert})
	case several && !c.several:
		c.news.post(Event{Kind: EventSelect})
	}
	c.several = several
	c.alone.set(!several)
}

// removed ends a player whose key was pulled. The error of its operation tells as well, sooner or later.
func (c *ceremony[T]) removed(key hid.Info) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.gone[key.Path] {
		c.news.post(Event{Kind: EventRemoved, Key: key})
	}
	delete(c.gone, key.Path)
	delete(c.denied, key.Path)
	p := c.players[key.Path]
	if p == nil {
		return
	}
	if p == c.chosen {
		p.cancel(fmt.Errorf("authenticator: %w", hid.ErrRemoved))
		return // its end is the ceremony's
	}
	c.leave(p, hid.ErrRemoved)
}

// drop takes a key out of the ceremony and says why.
func (c *ceremony[T]) drop(p *player[T], why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.players[p.key.Path] != p || c.chosen != nil || p.ctx.Err() != nil {
		return // too late to matter, or no fault of the key's
	}
	if errors.Is(why, hid.ErrRemoved) {
		c.gone[p.key.Path] = true
		c.news.post(Event{Kind: EventRemoved, Key: p.key})
	} else {
		c.dropped = why
		c.news.post(Event{Kind: EventDropped, Key: p.key, Err: why})
	}
	c.leave(p, why)
}

// leave takes a player out, with mu held.
func (c *ceremony[T]) leave(p *player[T], why error) {
	delete(c.players, p.key.Path)
	p.cancel(why)
	c.count()
}

// choose makes p the chosen key if the user has touched it, or if there is no other to choose from. All others lose.
func (c *ceremony[T]) choose(p *player[T], touched bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.chosen != nil:
		return c.chosen == p
	case c.players[p.key.Path] != p, !touched && len(c.players) > 1:
		return false
	}
	c.chosen = p
	for path, other := range c.players {
		if other != p {
			delete(c.players, path)
			other.cancel(errNotChosen)
		}
	}
	return true
}

func (c *ceremony[T]) isChosen(p *player[T]) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.chosen == p
}

// whenAlone calls f, in a goroutine of its own, when there is but one player, unless stop is called before.
func (c *ceremony[T]) whenAlone(f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.alone.then(f)
}

// end ends the ceremony with what became of p, if p is, or can still become, the chosen one.
func (c *ceremony[T]) end(p *player[T], result T, err error) {
	if c.choose(p, true) {
		c.verdict <- verdict[T]{result, err} // p is the only one, and does it once
	}
}
