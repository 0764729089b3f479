package virtual

import "github.com/keyfob-go/keyfob/ctap2"

// spoilAssertion does to an assertion what the faults say. The allow list had so many entries.
func (f *Faults) spoilAssertion(resp *ctap2.GetAssertionResponse, named int) {
	if f.OmitCredential || f.OmitSoleCredential && named == 1 {
		resp.Credential = nil
	}
	if f.OmitUser {
		resp.User = nil
	}
	if f.BadSignature {
		spoil(resp.Signature)
	}
}

// spoil changes the last byte. That of an ECDSA signature is one of its second number, so it still parses.
func spoil(signature []byte) {
	signature[len(signature)-1] ^= 1
}
