// Package strictjson reads JSON that comes from somebody who may mean harm, or mistype: what would be read in two ways is
// an error.
package strictjson

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Object returns the members of the one object that b holds. It exists because json.Unmarshal would match names of
// another case and take the last of several equal names.
func Object(b []byte) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	if start, err := dec.Token(); err != nil || start != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	members := make(map[string]json.RawMessage)
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name := token.(string) // the decoder lets nothing else stand before a colon
		if members[name] != nil {
			return nil, fmt.Errorf("member %q repeats", name)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		members[name] = value
	}
	if _, err := dec.Token(); err != nil { // the closing brace
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("something follows the object")
	}
	return members, nil
}

var standardToURL = strings.NewReplacer("+", "-", "/", "_")

// Base64 takes base64url with or without padding, and in the standard alphabet, which many servers write. White space and
// unused bits that are not zero are errors: what else was lost then?
func Base64(s string) ([]byte, error) {
	encoding := base64.RawURLEncoding
	if strings.HasSuffix(s, "=") {
		encoding = base64.URLEncoding
	}
	b, err := encoding.Strict().DecodeString(standardToURL.Replace(s))
	if err != nil || strings.ContainsAny(s, "\r\n") { // which the decoder skips
		return nil, errors.New("not base64url")
	}
	return b, nil
}
