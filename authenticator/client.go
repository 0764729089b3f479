package authenticator

import (
	"context"
	"io"

	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/webauthn"
)

// Client runs ceremonies over all the security keys that are plugged in, and those that the user plugs in meanwhile. The
// zero value works with every key of the system and can ask nobody for a PIN.
//
// With one key the user touches it and that is all, unless it wants a PIN. With several, all blink, the user touches one of
// them, and the others stop; only the touched one asks for its PIN. A key that cannot serve the request blinks as well,
// and ends the ceremony with the reason when it is touched. A key that fails before the user touched it only drops out.
//
// The methods may be called concurrently, but two ceremonies at a time disturb each other on the keys. Each returns when
// every key has been told to stop and is closed, whatever ended it; the callbacks must return for that. A done context
// cancels it on the keys at once, even while a callback runs.
type Client struct {
	UI *UI // nil asks and tells nobody

	// Watch and Open are where the keys come from; nil means [hid.Watch] and [hid.Open]. Open gets the Path of what Watch
	// told, and returns what [ctaphid.Open] takes. Watch must close the channel when ctx is done, and is waited for.
	Watch func(ctx context.Context) (present []hid.Info, events <-chan hid.Event, err error)
	Open  func(path string) (io.ReadWriteCloser, error)

	Origins webauthn.OriginPolicy // which origins may use which RP IDs; the zero value has the rules of the web

	// TopOrigin is the origin of the top-level page if a frame asks and a page around it has another origin than the frame,
	// else empty. It makes the client data cross-origin even where it equals the frame's origin: site A in a frame of B in a
	// page of A. WebAuthn Level 3, section 5.8.1.
	TopOrigin string
}

func (c *Client) ui() UI {
	if c.UI == nil {
		return UI{}
	}
	return *c.UI
}

func (c *Client) watch(ctx context.Context) ([]hid.Info, <-chan hid.Event, error) {
	if c.Watch == nil {
		return hid.Watch(ctx)
	}
	return c.Watch(ctx)
}

func (c *Client) open(ctx context.Context, key hid.Info, ui *UI) (*Authenticator, error) {
	if c.Open == nil {
		return Open(ctx, key, ui)
	}
	device, err := c.Open(key.Path)
	if err != nil {
		return nil, err
	}
	channel, err := ctaphid.Open(ctx, device)
	if err != nil {
		return nil, err
	}
	return start(ctx, key, channel, ui)
}
