package authenticator

import (
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/hid"
)

// AccountRequest says between which accounts the user may choose.
type AccountRequest struct {
	Key      hid.Info
	RPID     string
	Accounts []ctap2.User // newest first; the names may be missing, or cut in the middle of a character
}
