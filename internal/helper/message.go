package helper

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/keyfob-go/keyfob/internal/strictjson"
)

// message is what the parent says.
type message struct {
	kind, id          string
	origin, topOrigin string
	options           json.RawMessage
	rpID              string
	credentials       []secretCredential
	userVerification  string
	question          int
	value             json.RawMessage
}

// The kinds of messages from the parent.
const (
	kindCreate = "create"
	kindGet    = "get"
	kindDerive = "derive"
	kindList   = "list"
	kindCancel = "cancel"
	kindAnswer = "answer"
)

// members says for each kind of message which members it must have besides type and id, and which it may have.
var members = map[string]struct{ must, may []string }{
	kindCreate: {[]string{"origin", "options"}, []string{"topOrigin"}},
	kindGet:    {[]string{"origin", "options"}, []string{"topOrigin"}},
	kindDerive: {[]string{"rpId", "credentials", "userVerification"}, []string{"origin"}},
	kindList:   {},
	kindCancel: {},
	kindAnswer: {[]string{"question", "value"}, nil},
}

const maxID = 64 // bytes

// parseMessage returns the id also with an error, if there is one to be found.
func parseMessage(b []byte) (m message, err error) {
	if !utf8.Valid(b) { // package json would change it, perhaps within a PIN
		return m, badMessage("not UTF-8")
	}
	object, err := strictjson.Object(b)
	if err != nil {
		return m, badMessage("%w", err)
	}
	if err := m.decode(object, "id", "type"); err != nil {
		return m, err
	}
	allowed, known := members[m.kind]
	if !known {
		return m, badMessage("unknown type %.40q", m.kind)
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if name != "id" && name != "type" && !slices.Contains(allowed.must, name) && !slices.Contains(allowed.may, name) {
			return m, badMessage("%s: unknown member %.40q", m.kind, name)
		}
	}
	if err := m.decode(object, allowed.must...); err != nil {
		return m, err
	}
	return m, m.decodeSome(object, allowed.may)
}

// decode reads members that must be there.
func (m *message) decode(object map[string]json.RawMessage, names ...string) error {
	for _, name := range names {
		if raw, ok := object[name]; !ok || string(raw) == "null" && name != "value" {
			return badMessage("%s: missing", name)
		}
		if err := m.set(name, object[name]); err != nil {
			return badMessage("%s: %w", name, err)
		}
	}
	return nil
}

func (m *message) decodeSome(object map[string]json.RawMessage, names []string) error {
	for _, name := range names {
		if raw, ok := object[name]; ok && string(raw) != "null" {
			if err := m.decode(object, name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *message) set(name string, raw json.RawMessage) (err error) {
	switch name {
	case "type":
		return text(&m.kind, raw)
	case "id":
		return m.setID(raw)
	case "origin":
		return text(&m.origin, raw)
	case "topOrigin":
		return text(&m.topOrigin, raw)
	case "rpId":
		return text(&m.rpID, raw)
	case "userVerification":
		return text(&m.userVerification, raw)
	case "question":
		if json.Unmarshal(raw, &m.question) != nil {
			return errors.New("not an integer")
		}
	case "options":
		m.options = raw
	case "value":
		m.value = raw
	case "credentials":
		m.credentials, err = readCredentials(raw)
	}
	return err
}

func (m *message) setID(raw json.RawMessage) error {
	var id string
	if err := text(&id, raw); err != nil {
		return err
	}
	if len(id) == 0 || len(id) > maxID || strings.ContainsRune(id, utf8.RuneError) {
		return errors.New("not a text of 1 to 64 bytes")
	}
	m.id = id
	return nil
}

func text(s *string, raw json.RawMessage) error {
	if json.Unmarshal(raw, s) != nil {
		return errors.New("not a string")
	}
	return nil
}
