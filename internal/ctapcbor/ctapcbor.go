// Package ctapcbor encodes and decodes CBOR the way CTAP2 and WebAuthn use it: canonical going out, strict where
// security depends on it and lenient where real keys are sloppy coming in.
package ctapcbor

import (
	"github.com/fxamacker/cbor/v2"
)

// RawMessage is an encoded CBOR item that is decoded later or passed on as it is.
type RawMessage = cbor.RawMessage

// maxNestedLevels is what the deepest message needs: a compound attestation statement. CTAP itself allows 4.
const maxNestedLevels = 8

var (
	encoding = must(cbor.CTAP2EncOptions().EncMode())
	decoding = must(cbor.DecOptions{
		DupMapKey:       cbor.DupMapKeyEnforcedAPF,
		IndefLength:     cbor.IndefLengthForbidden,
		TagsMd:          cbor.TagsForbidden,
		MaxNestedLevels: maxNestedLevels,
		// "ID" is not "id": by default a struct field would take both.
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		// Keys truncate user and RP names in the middle of a character; a bad name must not cost the whole response.
		UTF8: cbor.UTF8DecodeInvalid,
	}.DecMode())
)

// Marshal returns v in the CTAP2 canonical form.
func Marshal(v any) ([]byte, error) { return encoding.Marshal(v) }

// Unmarshal decodes exactly one item into v. Trailing bytes, duplicate map keys, tags, indefinite lengths and deep
// nesting are errors; a form that is not canonical and integer keys that v does not know are not.
func Unmarshal(data []byte, v any) error { return decoding.Unmarshal(data, v) }

// UnmarshalFirst is [Unmarshal] for the first item of data; it returns the bytes behind it.
func UnmarshalFirst(data []byte, v any) (rest []byte, err error) {
	return decoding.UnmarshalFirst(data, v)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // fixed options: cannot happen
	}
	return v
}
