package authenticator

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/hid"
)

// What a key wanted earlier gives way to what it wants now; nothing else does.
func TestBulletinOfASlowReader(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a, b := hid.Info{Path: "a"}, hid.Info{Path: "b"}
		var got []Event
		next := make(chan struct{})
		bulletin := newBulletin(func(e Event) {
			<-next
			got = append(got, e)
		})
		bulletin.post(Event{Kind: EventAdded, Key: a})
		synctest.Wait() // it is being delivered
		for range 1000 {
			bulletin.post(Event{Kind: EventTouch, Key: a})
			bulletin.post(Event{Kind: EventProcessing, Key: a})
		}
		bulletin.post(Event{Kind: EventTouch, Key: b})
		bulletin.post(Event{Kind: EventTouched, Key: a})
		bulletin.post(Event{Kind: EventRemoved, Key: b})
		close(next)
		bulletin.close()
		require.Equal(t, []Event{
			{Kind: EventAdded, Key: a}, {Kind: EventProcessing, Key: a}, {Kind: EventTouch, Key: b},
			{Kind: EventTouched, Key: a}, {Kind: EventRemoved, Key: b},
		}, got)
	})
}
