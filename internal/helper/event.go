package helper

import (
	"slices"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/hid"
)

// key describes a key to the parent.
type key struct {
	Path         string   `json:"path"`
	Name         string   `json:"name"` // for people
	Bus          string   `json:"bus"`
	VendorID     uint16   `json:"vendorId"`
	ProductID    uint16   `json:"productId"`
	Manufacturer string   `json:"manufacturer"`
	Product      string   `json:"product"`
	Serial       string   `json:"serial"`
	StableID     string   `json:"stableId"`
	Error        *failure `json:"error,omitempty"` // why it cannot be opened
}

func keyOf(k hid.Info) key {
	shown := key{
		Path: k.Path, Name: k.String(), Bus: k.Bus.String(), VendorID: k.VendorID, ProductID: k.ProductID,
		Manufacturer: k.Manufacturer, Product: k.Product, Serial: k.Serial, StableID: k.StableID,
	}
	if k.Err != nil {
		shown.Error = failureOf(k.Err)
	}
	return shown
}

func keysOf(infos []hid.Info) []key {
	keys := make([]key, len(infos)) // an empty list is not null
	for i, info := range infos {
		keys[i] = keyOf(info)
	}
	return keys
}

// eventMessage tells the parent what its user should know.
type eventMessage struct {
	Type    string   `json:"type"`
	ID      string   `json:"id"`
	Event   string   `json:"event"`
	Key     *key     `json:"key,omitempty"`
	Reason  string   `json:"reason,omitempty"`  // of touch and processing
	Retries *int     `json:"retries,omitempty"` // of retry
	Change  string   `json:"change,omitempty"`  // of keys
	Keys    []key    `json:"keys,omitzero"`
	Error   *failure `json:"error,omitempty"`
}

// eventNames are those that the protocol has, for keys that come and go only one.
var eventNames = map[authenticator.EventKind]string{
	authenticator.EventTouch:      "touch",
	authenticator.EventProcessing: "processing",
	authenticator.EventUVFailed:   "retry",
	authenticator.EventInsert:     "insert",
	authenticator.EventAdded:      "keys",
	authenticator.EventRemoved:    "keys",
	authenticator.EventDropped:    "keys",
	authenticator.EventSelect:     "select",
	authenticator.EventTouched:    "touched",
}

func (r *request) notify(e authenticator.Event) {
	m := eventMessage{Type: "event", ID: r.id, Event: eventNames[e.Kind]}
	if e.Kind != authenticator.EventInsert && e.Kind != authenticator.EventSelect {
		k := keyOf(e.Key)
		m.Key = &k
	}
	switch e.Kind {
	case authenticator.EventTouch, authenticator.EventProcessing:
		m.Reason = e.Touch.String()
	case authenticator.EventUVFailed:
		if e.UVRetries >= 0 {
			m.Retries = &e.UVRetries
		}
	case authenticator.EventAdded, authenticator.EventRemoved, authenticator.EventDropped:
		r.follow(e, &m)
	}
	r.log.Info("event", "event", e.Kind.String(), "reason", m.Reason, "vendor", e.Key.VendorID, "product", e.Key.ProductID)
	r.box.send(m) // it can be encoded, and is small
}

// follow keeps the list of the keys that take part.
func (r *request) follow(e authenticator.Event, m *eventMessage) {
	r.keys = slices.DeleteFunc(r.keys, func(k hid.Info) bool { return k.Path == e.Key.Path })
	if e.Kind == authenticator.EventAdded {
		r.keys = append(r.keys, e.Key)
	}
	m.Change, m.Keys = e.Kind.String(), keysOf(r.keys)
	if e.Err != nil {
		m.Error = failureOf(e.Err)
	}
}
