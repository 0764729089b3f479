package ctap1

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
)

var errSignature = errors.New("signature is not one of ECDSA with P-256 in DER")

// checkSignature checks the form of an ECDSA signature on P-256: two positive integers in DER and nothing else.
func checkSignature(b []byte) error {
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(b, &sig); err != nil {
		return fmt.Errorf("%w: %w", errSignature, err)
	}
	if !validScalar(sig.R) || !validScalar(sig.S) {
		return errSignature
	}
	again, err := asn1.Marshal(sig)
	if err != nil || !bytes.Equal(again, b) { // bytes too many, in the sequence or after it
		return errSignature
	}
	return nil
}

func validScalar(n *big.Int) bool { return n.Sign() > 0 && n.BitLen() <= 256 }
