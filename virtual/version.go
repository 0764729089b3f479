package virtual

import (
	"fmt"

	"github.com/keyfob-go/keyfob/ctap2"
)

// Version is the newest version of CTAP that a key speaks. It decides about the members of getInfo, the commands, the
// extensions and the rules that the key has. Zero means CTAP21.
type Version int

// The versions of CTAP. Each key also speaks the ones before it, except the preview, whose commands were given other
// numbers.
const (
	CTAP20    Version = iota + 1 // no permissions, no credential management: a token is good for everything
	CTAP21Pre                    // the preview of 2.1: credential management and fingerprints as commands 0x41 and 0x40
	CTAP21
	CTAP22 // not a version string of its own in getInfo, but its members, options and extensions
	CTAP23
)

// String returns the version as "2.1" or "2.1-PRE".
func (v Version) String() string {
	switch v {
	case CTAP20:
		return "2.0"
	case CTAP21Pre:
		return "2.1-PRE"
	case CTAP21:
		return "2.1"
	case CTAP22:
		return "2.2"
	case CTAP23:
		return "2.3"
	}
	return fmt.Sprintf("Version(%d)", int(v))
}

// versionStrings returns what getInfo lists, without U2F. There never was a FIDO_2_2: CTAP 2.3, section 6.4.
func (c *Config) versionStrings() []string {
	list := []string{"FIDO_2_0"}
	if c.Version == CTAP21Pre || c.Preview {
		list = append(list, "FIDO_2_1_PRE")
	}
	if c.Version >= CTAP21 {
		list = append(list, "FIDO_2_1")
	}
	if c.Version >= CTAP23 {
		list = append(list, "FIDO_2_3")
	}
	return list
}

// protocols returns the PIN/UV auth protocols of the version, the favourite first. Protocol 2 came with 2.1.
func (v Version) protocols() []ctap2.PINProtocol {
	if v < CTAP21 {
		return []ctap2.PINProtocol{ctap2.PINProtocol1}
	}
	return []ctap2.PINProtocol{ctap2.PINProtocol2, ctap2.PINProtocol1}
}

// listLength is how many entries of a list a key takes by default: all that fit into a message, where it can't say.
func (v Version) listLength() int {
	if v < CTAP21Pre {
		return maxMessageSize
	}
	return defaultListLength
}
