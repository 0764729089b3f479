package cose_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
)

func TestIsSupported(t *testing.T) {
	t.Parallel()
	for _, a := range []cose.Algorithm{cose.ES256, cose.EdDSA, cose.RS256, cose.ES512} {
		require.True(t, a.IsSupported(), a)
	}
	for _, a := range []cose.Algorithm{0, -999, cose.RS1, cose.ECDHESHKDF256} {
		require.False(t, a.IsSupported(), a)
	}
}
