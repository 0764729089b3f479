package virtual

import (
	"bytes"
	"strings"

	"github.com/keyfob-go/keyfob/ctap2"
)

// maxNameSize is in bytes. A key may cut longer names, sections 6.1.2 and 6.8.
const maxNameSize = 64

// userOf returns the user of a credential as a platform sees it.
func (a *Authenticator) userOf(c *credential) *ctap2.User {
	return &ctap2.User{
		ID:          bytes.Clone(c.User.ID),
		Name:        a.cutName(c.User.Name),
		DisplayName: a.cutName(c.User.DisplayName),
	}
}

func (a *Authenticator) cutName(name string) string {
	if a.config.Faults.CutCharacters {
		return name[:min(len(name), maxNameSize)]
	}
	return cutText(name, maxNameSize)
}

// cutText returns the longest beginning of s that has so many bytes at most and ends with a whole character.
func cutText(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	end := 0
	for i := range s {
		if i > limit {
			break
		}
		end = i
	}
	return s[:end]
}

const maxRPIDSize = 32 // bytes, of keys that cut RP IDs

const ellipsis = "…"

// cutRPID is section 6.8.7: what comes before the colon of a URL stays, and as much of the end as there is room for.
func cutRPID(id string) string {
	if len(id) <= maxRPIDSize {
		return id
	}
	scheme := id[:strings.IndexByte(id, ':')+1] // empty without one
	scheme = scheme[:min(len(scheme), maxRPIDSize)]
	room := maxRPIDSize - len(scheme) - len(ellipsis)
	if room < 0 {
		return scheme
	}
	return scheme + ellipsis + id[len(id)-room:]
}
