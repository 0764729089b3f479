package webauthn

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/keyfob-go/keyfob/internal/strictjson"
)

// Limits of what is read from JSON, far beyond what anybody sends for good reasons: browsers take 64 credentials.
const (
	maxJSON  = 1 << 20 // bytes of a document
	maxItems = 256     // of a list, or of an object whose names are data
)

// A jsonObject is one that is being read. Its methods return the values of members, and zero for one that is
// absent or null. The first thing that is wrong, anywhere in the document, stays in err.
type jsonObject struct {
	path    string // from the document's root, as in "publicKey.user"; empty for the root itself
	members map[string]json.RawMessage
	err     *error
}

func readObject(b []byte) *jsonObject {
	o := &jsonObject{err: new(error)}
	if len(b) > maxJSON {
		*o.err = fmt.Errorf("%d bytes, want %d at most", len(b), maxJSON)
		return o
	}
	o.members, *o.err = strictjson.Object(b)
	return o
}

// in returns the path of a member.
func (o *jsonObject) in(name string) string {
	if o.path == "" {
		return name
	}
	return o.path + "." + name
}

func (o *jsonObject) fail(name string, err error) {
	if *o.err == nil {
		*o.err = fmt.Errorf("%s: %w", o.in(name), err)
	}
}

// decode returns false if there is no such value, or none of the type, which is named by want.
func (o *jsonObject) decode(name, want string, v any) bool {
	raw, ok := o.members[name]
	if !ok || string(raw) == "null" {
		return false
	}
	if json.Unmarshal(raw, v) != nil {
		o.fail(name, errors.New("not "+want))
		return false
	}
	return true
}

func (o *jsonObject) require(names ...string) {
	for _, name := range names {
		if raw := o.members[name]; raw == nil || string(raw) == "null" {
			o.fail(name, errors.New("missing"))
		}
	}
}

func (o *jsonObject) text(name string) (s string) {
	o.decode(name, "a string", &s)
	return s
}

func (o *jsonObject) flag(name string) (b bool) {
	o.decode(name, "a boolean", &b)
	return b
}

// answer is flag for those to whom it matters whether it is there.
func (o *jsonObject) answer(name string) *bool {
	b := new(bool)
	if !o.decode(name, "a boolean", b) {
		return nil
	}
	return b
}

// bytes returns nil only if the member is absent.
func (o *jsonObject) bytes(name string) []byte {
	var s string
	if !o.decode(name, "a string", &s) {
		return nil
	}
	b, err := strictjson.Base64(s)
	if err != nil {
		o.fail(name, err)
	}
	return b
}

func (o *jsonObject) number(name string) (n float64) {
	o.decode(name, "a number", &n)
	return n
}

func (o *jsonObject) texts(name string) (items []string) {
	for i, raw := range o.list(name) {
		var s *string // nil after null
		if json.Unmarshal(raw, &s) != nil || s == nil {
			o.fail(fmt.Sprintf("%s[%d]", name, i), errors.New("not a string"))
			return nil
		}
		items = append(items, *s)
	}
	return items
}

// objects returns the objects of a list.
func (o *jsonObject) objects(name string) (items []*jsonObject) {
	for i, raw := range o.list(name) {
		item := &jsonObject{path: fmt.Sprintf("%s[%d]", o.in(name), i), err: o.err}
		item.parse(raw)
		items = append(items, item)
	}
	return items
}

func (o *jsonObject) list(name string) (items []json.RawMessage) {
	o.decode(name, "a list", &items)
	if len(items) > maxItems {
		o.fail(name, fmt.Errorf("%d items, want %d at most", len(items), maxItems))
		return nil
	}
	return items
}

// object returns an object without members if there is none by the name.
func (o *jsonObject) object(name string) (member *jsonObject, ok bool) {
	member = &jsonObject{path: o.in(name), err: o.err}
	raw, ok := o.members[name]
	if !ok || string(raw) == "null" {
		return member, false
	}
	member.parse(raw)
	return member, true
}

func (o *jsonObject) parse(raw json.RawMessage) {
	var err error
	if o.members, err = strictjson.Object(raw); err != nil && *o.err == nil {
		*o.err = fmt.Errorf("%s: %w", o.path, err)
	}
}

// base64url are bytes as WebAuthn's JSON has them.
type base64url []byte

func (b base64url) MarshalText() ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(nil, b), nil
}
