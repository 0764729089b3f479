package virtual

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
)

func TestOverride(t *testing.T) {
	t.Parallel()
	_, client := newKey(t, Config{Faults: Faults{Answer: Override(ctap2.CommandSelection, ctap2.ErrNotAllowed, nil)}})
	require.ErrorIs(t, client.Selection(t.Context()), ctap2.ErrNotAllowed)
	_, err := client.GetInfo(t.Context())
	require.NoError(t, err)

	members := []byte{0xa2, 0x01, 0x81, 0x61, 'V', 0x03, 0x50, 15: 0, 22: 0}
	_, client = newKey(t, Config{Faults: Faults{Answer: Override(ctap2.CommandGetInfo, 0, members)}})
	info, err := client.GetInfo(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"V"}, info.Versions)
}

func TestReplaceStatus(t *testing.T) {
	t.Parallel()
	refuse := func(context.Context, Prompt) error { return ctap2.ErrKeepaliveCancel }
	_, client := newKey(t, Config{
		UserPresence: refuse,
		Faults:       Faults{Answer: ReplaceStatus(ctap2.ErrKeepaliveCancel, ctap2.ErrOperationDenied)},
	})
	require.ErrorIs(t, client.Selection(t.Context()), ctap2.ErrOperationDenied)
	_, err := client.GetAssertion(t.Context(), ask())
	require.ErrorIs(t, err, ctap2.ErrNoCredentials, "others stay")
}

func TestHistory(t *testing.T) {
	t.Parallel()
	history := new(History)
	key, client := newKey(t, Config{Faults: Faults{Answer: history.Answer}})
	require.Empty(t, history.Requests())
	require.NoError(t, client.Selection(t.Context()))
	_, err := key.Msg(t.Context(), []byte{0, 3, 0, 0})
	require.NoError(t, err)
	require.Equal(t, []Request{
		{ctaphid.CommandCBOR, []byte{byte(ctap2.CommandSelection)}}, {ctaphid.CommandMsg, []byte{0, 3, 0, 0}},
	}, history.Requests())
	history.Clear()
	require.Empty(t, history.Requests())
}
