package authenticator

import "github.com/keyfob-go/keyfob/ctap2"

// UserVerification says how much the caller wants the user verified, by the PIN or by the key itself.
type UserVerification int

// The zero value asks for nothing that the key does not insist on.
const (
	UVDiscouraged UserVerification = iota // only if the key insists
	UVPreferred                           // if a PIN or fingerprint is set up
	UVRequired                            // or fail
)

// uvMethod is a way to verify the user.
type uvMethod int

const (
	uvNone       uvMethod = iota // not at all
	uvToken                      // the key itself, for a token (CTAP 2.1)
	uvOption                     // the key itself, in the command (CTAP 2.0)
	uvPIN                        // a PIN, for a token
	uvImpossible                 // it must be, but nothing is set up for it
	uvRefused                    // the key does not take its PIN for this (noMcGaPermissionsWithClientPin)
)

// uvQuestion is all that the decision depends on, besides the key.
type uvQuestion struct {
	wish     UserVerification
	create   bool // makeCredential, not getAssertion
	resident bool // create a resident credential
	silent   bool // getAssertion without a touch
}

// decideUV chooses how the user is verified: the key itself first, then the PIN. See CTAP 2.3, sections 6.1.1 and 6.2.1.
func decideUV(info *ctap2.Info, q uvQuestion) uvMethod {
	if !needsUV(info, q) {
		return uvNone
	}
	if uv, _ := info.Option("uv"); uv {
		if token, _ := info.Option("pinUvAuthToken"); token {
			return uvToken
		}
		return uvOption
	}
	return decidePIN(info)
}

// decidePIN chooses when the key cannot, or could not, verify the user itself.
func decidePIN(info *ctap2.Info) uvMethod {
	if pin, _ := info.Option("clientPin"); !pin {
		return uvImpossible
	}
	if refused, _ := info.Option("noMcGaPermissionsWithClientPin"); refused {
		return uvRefused
	}
	return uvPIN
}

// needsUV says whether the caller or the key wants the user verified.
func needsUV(info *ctap2.Info, q uvQuestion) bool {
	pin, _ := info.Option("clientPin")
	uv, _ := info.Option("uv")
	configured := pin || uv
	switch q.wish {
	case UVRequired:
		return true
	case UVPreferred:
		if configured {
			return true
		}
	}
	always, _ := info.Option("alwaysUv")
	if !q.create {
		return always && !q.silent
	}
	if always {
		return true
	}
	notRequired, _ := info.Option("makeCredUvNotRqd")
	return configured && (!notRequired || q.resident)
}
