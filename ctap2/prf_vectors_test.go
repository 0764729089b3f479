package ctap2_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/webauthn"
)

// The vectors' salts of hmac-secret for the WebAuthn extension prf.
func TestPRFSaltVectors(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../testdata/ctap.json")
	require.NoError(t, err)
	var v struct {
		PRF []struct{ Input, Salt string }
	}
	require.NoError(t, json.Unmarshal(b, &v))
	require.Len(t, v.PRF, 3)
	for _, tc := range v.PRF {
		salt := webauthn.PRFSalt(unhex(t, tc.Input))
		require.Equal(t, tc.Salt, hex.EncodeToString(salt[:]))
	}
}
