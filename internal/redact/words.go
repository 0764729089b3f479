package redact

import "strings"

// words are the texts of CTAP2 and WebAuthn that say nothing about a user: names of members, and values that are
// chosen from a list.
var words = func() map[string]bool {
	known := make(map[string]bool)
	for _, word := range strings.Fields(`
		id name displayName icon type alg transports public-key
		usb nfc ble hybrid internal smart-card
		rk up uv
		fmt attStmt authData sig x5c ver certInfo pubArea response ecdaaKeyId
		none packed tpm android-key android-safetynet fido-u2f apple compound
		credProtect credBlob largeBlobKey largeBlob minPinLength pinComplexityPolicy hmac-secret hmac-secret-mc
		thirdPartyPayment prf uvm
		support required preferred supported read write written blob originalSize
		eval evalByCredential first second enabled results`) {
		known[word] = true
	}
	return known
}()
