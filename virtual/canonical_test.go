package virtual

import (
	"bytes"
	"context"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

func TestCanonical(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]bool{
		"00": true, "17": true, "1818": true, "1817": false, "190100": true, "1900ff": false,
		"1a00010000": true, "1a0000ffff": false, "1b0000000100000000": true, "1b00000000ffffffff": false,
		"20": true, "3817": false, "3818": true,
		"40": true, "4100": true, "41": false, "580100": false, "5f4100ff": false, "5bffffffffffffffff": false,
		"60": true, "6161": true, "61ff": false, "62c3a9": true, "7f6161ff": false,
		"80": true, "8100": true, "81": false, "9f00ff": false, "9bffffffffffffffff00": false,
		"a0": true, "a10000": true, "a100": false, "bf0000ff": false,
		"a201000200":       true,  // ascending
		"a202000100":       false, // descending
		"a201000100":       false, // twice
		"a20a002000":       true,  // by major type
		"a220000a00":       false,
		"a21818000100":     false, // by length
		"a2616200626161":   false, // cut
		"a261620062616100": true,  // a longer key later
		"a262616100616200": false,
		"c000":             false, "d9d9f7a0": false,
		"f4": true, "f5": true, "f6": true, "f7": true, "e0": true, "f0": true, "f81f": false, "f820": true, "f8ff": true, "f8": false, "ff": false,
		"f93c00": true, "fa3f800000": true, "fb3ff0000000000000": true, "f93c": false, "fc": false,
		"81818180": true, "8181818180": false, "a100a100a100a0": true, "a100a100a100a100a0": false,
		"":     false,
		"0000": false,
	} {
		b, err := hex.DecodeString(in)
		require.NoError(t, err)
		require.Equal(t, want, canonical(b), in)
	}
}

// FuzzCanonical compares with the encoder: what is canonical decodes and encodes to itself, and what the encoder makes is
// canonical.
func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{"a201000200", "a220000a00", "8181818180", "a261620062616100", "fb3ff0000000000000", "1817"} {
		b, _ := hex.DecodeString(seed)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var v any
		if err := ctapcbor.Unmarshal(b, &v); err != nil || isLossy(v) {
			return
		}
		again, err := ctapcbor.Marshal(v)
		if err != nil {
			return
		}
		if canonical(b) {
			require.Equal(t, b, again)
		}
		if !canonical(again) {
			require.True(t, nesting(v) > maxNesting || !hasOnlyUTF8(v), "%x", again)
		}
	})
}

// isLossy reports whether the item holds something that is decoded like something else: short and long floating-point
// numbers, undefined and null.
func isLossy(v any) bool {
	found := false
	visit(v, 1, func(v any, _ int) {
		_, isFloat := v.(float64)
		found = found || isFloat || v == nil
	})
	return found
}

func nesting(v any) (deepest int) {
	visit(v, 1, func(v any, depth int) {
		switch v.(type) {
		case []any, map[any]any:
			deepest = max(deepest, depth)
		}
	})
	return deepest
}

func hasOnlyUTF8(v any) bool {
	valid := true
	visit(v, 1, func(v any, _ int) {
		s, ok := v.(string)
		valid = valid && (!ok || strings.ToValidUTF8(s, "") == s)
	})
	return valid
}

func visit(v any, depth int, see func(v any, depth int)) {
	see(v, depth)
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			visit(e, depth+1, see)
		}
	case map[any]any:
		for k, e := range v {
			visit(k, depth+1, see)
			visit(e, depth+1, see)
		}
	}
}

// TestRequestsOfTheWrongForm goes through every command that has parameters.
func TestRequestsOfTheWrongForm(t *testing.T) {
	t.Parallel()
	key, _ := newKey(t, Config{})
	rp, user := map[string]any{"id": "x"}, map[string]any{"id": []byte{1}}
	es256 := []any{map[string]any{"alg": -7, "type": "public-key"}}
	mc := func(change map[int]any) map[int]any {
		m := map[int]any{1: testHash, 2: rp, 3: user, 4: es256}
		for k, v := range change {
			m[k] = v
			if v == nil {
				delete(m, k)
			}
		}
		return m
	}
	ga := func(k int, v any) map[int]any { return map[int]any{1: "x", 2: testHash, k: v} }
	type null struct {
		V *int `cbor:"1,keyasint"`
	}
	const (
		create, get, pin = ctap2.CommandMakeCredential, ctap2.CommandGetAssertion, ctap2.CommandClientPIN
		badType          = ctap2.ErrCBORUnexpectedType
		missing          = ctap2.ErrMissingParameter
	)
	for name, tt := range map[string]struct {
		cmd    ctap2.Command
		params any
		want   ctap2.Status
	}{
		"right":                       {create, mc(nil), 0},
		"no map":                      {create, []int{1}, badType},
		"no parameters":               {create, map[int]any{}, missing},
		"without hash":                {create, mc(map[int]any{1: nil}), missing},
		"without RP":                  {create, mc(map[int]any{2: nil}), missing},
		"without user":                {create, mc(map[int]any{3: nil}), missing},
		"without algorithms":          {create, mc(map[int]any{4: nil}), missing},
		"text for a hash":             {create, mc(map[int]any{1: "x"}), badType},
		"null for a hash":             {create, null{}, badType},
		"list of numbers for a hash":  {create, mc(map[int]any{1: []int{1, 2}}), badType},
		"RP without ID":               {create, mc(map[int]any{2: map[string]any{"name": "x"}}), missing},
		"RP with bytes for ID":        {create, mc(map[int]any{2: map[string]any{"id": []byte{1}}}), badType},
		"user without ID":             {create, mc(map[int]any{3: map[string]any{"name": "x"}}), missing},
		"user with number for name":   {create, mc(map[int]any{3: map[string]any{"id": []byte{1}, "name": 1}}), badType},
		"algorithms in a map":         {create, mc(map[int]any{4: map[int]int{}}), badType},
		"algorithm without type":      {create, mc(map[int]any{4: []any{map[string]any{"alg": -7}}}), missing},
		"algorithm that is text":      {create, mc(map[int]any{4: []any{map[string]any{"alg": "x", "type": "x"}}}), badType},
		"bad one after a good one":    {create, mc(map[int]any{4: append(es256[:1:1], map[string]any{"type": "x"})}), missing},
		"excluded without type":       {create, mc(map[int]any{5: []any{map[string]any{"id": []byte{1}}}}), missing},
		"excluded with number for ID": {create, mc(map[int]any{5: []any{map[string]any{"id": 1, "type": "x"}}}), badType},
		"credProtect as text":         {create, mc(map[int]any{6: map[string]any{"credProtect": "1"}}), badType},
		"credProtect 0":               {create, mc(map[int]any{6: map[string]any{"credProtect": 0}}), ctap2.ErrInvalidOption},
		"hmac-secret as number":       {create, mc(map[int]any{6: map[string]any{"hmac-secret": 1}}), badType},
		"unknown extension":           {create, mc(map[int]any{6: map[string]any{"example": []int{1}}}), 0},
		"option as number":            {create, mc(map[int]any{7: map[string]any{"rk": 1}}), badType},
		"unknown option":              {create, mc(map[int]any{7: map[string]any{"example": 1}}), 0},
		"token as text":               {create, mc(map[int]any{8: "x", 9: 2}), badType},
		"negative protocol":           {create, mc(map[int]any{8: []byte{1}, 9: -1}), badType},
		"unknown parameter":           {create, mc(map[int]any{99: "x"}), 0},
		"get without RP ID":           {get, map[int]any{2: testHash}, missing},
		"get without hash":            {get, map[int]any{1: "x"}, missing},
		"get with text for list":      {get, ga(3, "x"), badType},
		"get with empty hmac-secret":  {get, ga(4, map[string]any{"hmac-secret": map[int]any{}}), missing},
		"get with bool hmac-secret":   {get, ga(4, map[string]any{"hmac-secret": true}), badType},
		"get with null up":            {get, ga(5, map[string]any{"up": nil}), badType},
		"pin without subcommand":      {pin, map[int]any{1: 2}, missing},
		"pin with text":               {pin, map[int]any{2: "x"}, badType},
		"pin with number for a key":   {pin, map[int]any{1: 2, 2: 3, 3: 1}, badType},
		"pin with empty key":          {pin, map[int]any{1: 2, 2: 3, 3: map[int]int{}}, ctap2.ErrInvalidParameter},
	} {
		require.Equal(t, tt.want, send(t, key, tt.cmd, tt.params), name)
	}
}

func TestRequestsThatAreNoCanonicalCBOR(t *testing.T) {
	t.Parallel()
	key, client := newKey(t, Config{Finger: indexFinger})
	for _, params := range []string{"", "ff", "a1", "a2020101", "a202010101", "a10118", "a102180100", "a1021801", "bf0201ff", "a1020100"} {
		b, err := hex.DecodeString(params)
		require.NoError(t, err)
		for _, cmd := range []byte{1, 2, 6, 9, 0x0a, 0x0c, 0x0d} {
			resp, err := key.CBOR(t.Context(), append([]byte{cmd}, b...), nil)
			require.NoError(t, err)
			require.Equal(t, []byte{byte(ctap2.ErrInvalidCBOR)}, resp, params)
		}
	}
	for request, want := range map[string]ctap2.Status{
		"":   ctap2.ErrInvalidLength,
		"03": ctap2.ErrInvalidCommand,
		"41": ctap2.ErrInvalidCommand,
		"ff": ctap2.ErrInvalidCommand,
		"08": ctap2.ErrNotAllowed,
	} {
		b, err := hex.DecodeString(request)
		require.NoError(t, err)
		resp, err := key.CBOR(t.Context(), b, nil)
		require.NoError(t, err)
		require.Equal(t, []byte{byte(want)}, resp, request)
	}
	_, err := client.GetInfo(t.Context())
	require.NoError(t, err)
}

// FuzzCBOR sends any bytes as a command to a key that has seen some life.
func FuzzCBOR(f *testing.F) {
	for _, seed := range seedRequests(f) {
		f.Add(seed)
	}
	for _, e := range loadVectors(f).Exchanges {
		for _, m := range e.Messages {
			f.Add(unhex(f, m.Request))
		}
	}
	f.Fuzz(func(t *testing.T, request []byte) {
		key, client := newKeyWithPIN(t, Config{Capacity: 3, UserVerification: recognize})
		passkey(t, client, 1, newToken(t, client, 2))
		passkey(t, client, 2, newToken(t, client, 2))
		for range 2 { // the second time with what the first has left behind
			resp, err := key.CBOR(t.Context(), bytes.Clone(request), nil)
			require.NoError(t, err)
			require.NotEmpty(t, resp)
			require.LessOrEqual(t, len(resp), maxMessageSize)
			if resp[0] != 0 {
				require.Len(t, resp, 1)
			} else if len(resp) > 1 {
				require.True(t, canonical(resp[1:]), "%x", resp)
			}
		}
		_, err := client.GetInfo(t.Context())
		require.NoError(t, err)
	})
}

// seedRequests records one request of each kind.
func seedRequests(t testing.TB) (requests [][]byte) {
	key, client := newKeyWithPIN(t, Config{UserVerification: recognize})
	client.Transport = recorder{key, &requests}
	_, err := client.GetInfo(t.Context())
	require.NoError(t, err)
	req := newRequest()
	req.Extensions = ctap2.MakeCredentialExtensions{CredProtect: 1, HMACSecret: true}
	req.Options.ResidentKey = true
	req.ExcludeList = list(make([]byte, 32))
	id := register(t, client, withToken(req, newToken(t, client, 2))).Credential.ID
	_, err = client.UVToken(t.Context(), agree(t, client, 1), 1, testRP.ID)
	require.NoError(t, err)
	get := ask(id)
	get.Extensions.HMACSecret, err = ctap2.NewHMACSecretInput(agree(t, client, 2), make([]byte, 64))
	require.NoError(t, err)
	_, err = client.GetAssertion(t.Context(), get)
	require.NoError(t, err)
	require.NoError(t, client.ChangePIN(t.Context(), agree(t, client, 1), pin, pin))
	require.NoError(t, client.Selection(t.Context()))
	require.NoError(t, client.Reset(t.Context()))
	require.NoError(t, client.SetPIN(t.Context(), agree(t, client, 2), pin))
	return append(requests, []byte{8}, []byte{1, 0xa0}, nil)
}

// recorder is a transport that keeps the requests.
type recorder struct {
	ctap2.Transport
	requests *[][]byte
}

func (r recorder) CBOR(ctx context.Context, request []byte, keepalive func(byte)) ([]byte, error) {
	*r.requests = append(*r.requests, bytes.Clone(request))
	return r.Transport.CBOR(ctx, request, keepalive)
}
