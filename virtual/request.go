package virtual

import (
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// A shape tells whether a decoded item is what a request must hold in its place, or which status refuses it. The
// decoder alone would take null, and other things, for a zero of nearly any type.
type shape func(v any) error

func isType[T any](v any) error {
	if _, ok := v.(T); !ok {
		return ctap2.ErrCBORUnexpectedType
	}
	return nil
}

var (
	isBytes    shape = isType[[]byte]
	isText     shape = isType[string]
	isBool     shape = isType[bool]
	isUnsigned shape = isType[uint64]
	isMap      shape = isType[map[any]any]
)

func isInteger(v any) error {
	if _, ok := v.(int64); ok { // the negative ones
		return nil
	}
	return isUnsigned(v)
}

// isBytesOf is for byte strings of so many bytes.
func isBytesOf(least, most int) shape {
	return func(v any) error {
		b, ok := v.([]byte)
		if !ok {
			return ctap2.ErrCBORUnexpectedType
		}
		if len(b) < least || len(b) > most {
			return ctap2.ErrInvalidLength
		}
		return nil
	}
}

func isListOf(element shape) shape {
	return func(v any) error {
		list, ok := v.([]any)
		if !ok {
			return ctap2.ErrCBORUnexpectedType
		}
		for _, v := range list {
			if err := element(v); err != nil {
				return err
			}
		}
		return nil
	}
}

// field is a member of a map that the authenticator knows.
type field struct {
	key   any // uint64 or string
	shape shape
	must  bool
}

func required(key any, s shape) field { return field{key, s, true} }

func optional(key any, s shape) field { return field{key, s, false} }

// isRecord is for maps with these members. Others are for later versions of the protocol, and ignored.
func isRecord(fields ...field) shape {
	return func(v any) error {
		m, ok := v.(map[any]any)
		if !ok {
			return ctap2.ErrCBORUnexpectedType
		}
		for _, f := range fields {
			value, ok := m[f.key]
			if !ok && f.must {
				return ctap2.ErrMissingParameter
			}
			if !ok {
				continue
			}
			if err := f.shape(value); err != nil {
				return err
			}
		}
		return nil
	}
}

// A key is the number of a parameter.
type key = uint64

// message is the map of a request's parameters, for the rare question whether one was sent at all.
type message map[any]any

func (m message) has(k key) bool {
	_, ok := m[k]
	return ok
}

// hasIn reports whether a parameter that is a map has a member.
func (m message) hasIn(k key, name string) bool {
	inner, _ := m[k].(map[any]any)
	_, ok := inner[name]
	return ok
}

// decode reads the parameters of a command into req, one of ctap2's request structs.
func decode(params []byte, want shape, req any) (message, error) {
	tree, err := parse(params)
	if err != nil {
		return nil, err
	}
	return fill(tree, params, want, req)
}

func parse(params []byte) (tree any, err error) {
	if !canonical(params) || ctapcbor.Unmarshal(params, &tree) != nil {
		return nil, ctap2.ErrInvalidCBOR
	}
	return tree, nil
}

// fill is decode for parameters that are parsed already.
func fill(tree any, params []byte, want shape, req any) (message, error) {
	if err := want(tree); err != nil {
		return nil, err
	}
	if err := ctapcbor.Unmarshal(params, req); err != nil {
		return nil, ctap2.ErrInvalidParameter // the types are right, so a key is not on its curve or the like
	}
	m, _ := tree.(map[any]any)
	return m, nil
}

// Shapes that several commands share.
var (
	isHash       = isBytesOf(32, 32)
	isDescriptor = isRecord(
		required("id", isBytes),
		required("type", isText),
		optional("transports", isListOf(isText)),
	)
	isOptions = isRecord(
		optional("rk", isBool),
		optional("up", isBool),
		optional("uv", isBool),
	)
)

// decodeOptional reads the parameters of a subcommand, which may be missing altogether.
func decodeOptional(params []byte, want shape, req any) (message, error) {
	if params == nil {
		params = []byte{0xa0} // an empty map
	}
	return decode(params, want, req)
}

// decodeRequired reads the parameters of a subcommand that does not work without any.
func decodeRequired(params []byte, want shape, req any) error {
	if params == nil {
		return ctap2.ErrMissingParameter
	}
	_, err := decode(params, want, req)
	return err
}
