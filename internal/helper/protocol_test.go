package helper

import (
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
)

// The specification names everything that messages can have.
func TestTheSpecificationIsComplete(t *testing.T) {
	t.Parallel()
	specification, err := os.ReadFile("../../docs/helper-protocol.md")
	require.NoError(t, err)
	words := []string{
		codeBadMessage, codeInternal, codeInvalidOptions, codeOriginRefused, codeRequestRunning, codeSecurity, codeTooLarge,
		askPIN, askNewPIN, askAccount,
	}
	for k := authenticator.KindOther; k <= authenticator.KindProtocol; k++ {
		words = append(words, kindCode(k))
	}
	for r := authenticator.TouchToRegister; r <= authenticator.TouchToSelect; r++ {
		words = append(words, r.String())
	}
	words = slices.Concat(words, pinReasons[:], newPINReasons[:], slices.Collect(maps.Values(eventNames)))
	for kind, m := range members {
		require.Contains(t, string(specification), "\n### "+kind+"\n")
		words = slices.Concat(words, m.must, m.may)
	}
	for _, message := range []any{hello{}, reply{}, failure{}, key{}, eventMessage{}, questionMessage{}, account{}, secrets{}, keysReply{}} {
		for f := range reflect.TypeOf(message).Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			words = append(words, name)
		}
	}
	for _, word := range words {
		require.NotEmpty(t, word)
		require.Regexp(t, "[`\"]"+word+"[`\"]", string(specification))
	}
}
