package virtual

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// FuzzManagement sends the commands that manage the key any parameters, with a token that is good for them: without one
// no fuzzer gets that far.
func FuzzManagement(f *testing.F) {
	params := func(v any) []byte {
		encoded, err := ctapcbor.Marshal(v)
		require.NoError(f, err)
		return encoded
	}
	descriptor := list([]byte{1})[0]
	for _, cmd := range []ctap2.Command{ctap2.CommandBioEnrollment, ctap2.CommandCredentialManagement, ctap2.CommandConfig} {
		for sub := byte(1); sub <= 7; sub++ {
			f.Add(byte(cmd), sub, []byte{})
			f.Add(byte(cmd), sub, []byte{0xa0})
		}
	}
	f.Add(byte(ctap2.CommandBioEnrollment), byte(1), params(map[int]any{3: 10000}))
	f.Add(byte(ctap2.CommandBioEnrollment), byte(5), params(map[int]any{1: []byte{1}, 2: "thumb"}))
	f.Add(byte(ctap2.CommandCredentialManagement), byte(4), params(map[int]any{1: make([]byte, 32)}))
	f.Add(byte(ctap2.CommandCredentialManagement), byte(7), params(map[int]any{2: descriptor, 3: ctap2.User{ID: []byte{1}}}))
	f.Add(byte(ctap2.CommandConfig), byte(3), params(map[int]any{1: 8, 2: []string{"example.org"}, 3: true, 4: true}))
	f.Add(byte(ctap2.CommandConfig), byte(0xff), params(map[int]any{1: 1, 2: "x"}))
	f.Fuzz(func(t *testing.T, cmd, sub byte, params []byte) {
		config := Preset23.Config()
		config.EnrollSamples = 2
		config.VendorConfig = map[uint64]func([]byte) error{1: func([]byte) error { return nil }}
		config.PIN.Initial = pin
		key, err := New(config)
		require.NoError(t, err)
		request := managementRequest(t, &ctap2.Client{Transport: key}, ctap2.Command(cmd), sub, params)
		for range 2 { // the second time with what the first has left behind
			resp, err := key.CBOR(t.Context(), request, nil)
			require.NoError(t, err)
			require.NotEmpty(t, resp)
			require.True(t, len(resp) == 1 || resp[0] == 0 && canonical(resp[1:]), "%x", resp)
		}
		require.NoError(t, key.state.check(), "what was stored can be loaded")
	})
}

// managementRequest encodes a request with parameters that may be no CBOR.
func managementRequest(t *testing.T, client *ctap2.Client, cmd ctap2.Command, sub byte, params []byte) []byte {
	t.Helper()
	permission, message, members := cm, []byte{sub}, [][]byte{}
	number := byte(1)
	add := func(value ...byte) {
		members = append(members, append([]byte{number}, value...))
		number++
	}
	switch cmd {
	case ctap2.CommandBioEnrollment:
		permission, message = be, []byte{1, sub}
		add(1)
	case ctap2.CommandConfig:
		permission, message = acfg, append(bytes.Repeat([]byte{0xff}, 32), byte(cmd), sub)
	}
	token, err := client.PINTokenWithPermissions(t.Context(), agree(t, client, 2), pin, permission, "")
	require.NoError(t, err)
	subcommand, err := ctapcbor.Marshal(sub)
	require.NoError(t, err)
	add(subcommand...)
	if len(params) > 0 {
		add(params...)
	} else {
		number++
	}
	add(2)
	add(append([]byte{0x58, 0x20}, token.Authenticate(append(message, params...))...)...)
	return slices.Concat([]byte{byte(cmd), 0xa0 | byte(len(members))}, slices.Concat(members...))
}
