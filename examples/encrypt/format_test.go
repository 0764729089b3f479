package main

import (
	"bytes"
	"crypto/ecdh"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/plugin"
	"github.com/stretchr/testify/require"
)

func someRecipient(t testing.TB, secret []byte) *recipient {
	t.Helper()
	private, err := ecdh.X25519().NewPrivateKey(secret)
	require.NoError(t, err)
	salt := bytes.Repeat([]byte{2}, keySize)
	return &recipient{private.PublicKey().Bytes(), lock{verify: true, salt: salt, credentialID: []byte("credential")}}
}

// The stanza is what age wraps, of type X25519, with four arguments more.
func TestStanza(t *testing.T) {
	t.Parallel()
	secret := bytes.Repeat([]byte{1}, keySize)
	r := someRecipient(t, secret)
	stanzas, err := r.Wrap([]byte("a 16 byte secret"))
	require.NoError(t, err)
	require.Len(t, stanzas, 1)
	require.Equal(t, "fido2-hmac", stanzas[0].Type)
	args := stanzas[0].Args
	require.Len(t, args, 5)
	require.Equal(t, "AAI", args[0], "version 2 in two bytes")
	require.Equal(t, "AQ", args[2], "1 in one")
	require.Equal(t, base64.RawStdEncoding.EncodeToString(r.salt), args[3])
	require.Equal(t, base64.RawStdEncoding.EncodeToString(r.credentialID), args[4])

	locked, err := parseStanzas(stanzas)
	require.NoError(t, err)
	require.Equal(t, r.lock, locked[0].lock)
	fileKey, err := locked[0].open(secret)
	require.NoError(t, err)
	require.Equal(t, "a 16 byte secret", string(fileKey))
	secret[0] ^= 8 // X25519 does not look at the last three bits
	_, err = locked[0].open(secret)
	require.ErrorIs(t, err, errBroken)
}

// The vector "x25519" of age's own test suite, c2sp.org/CCTV/age.
func TestOpensAsAgeDoes(t *testing.T) {
	t.Parallel()
	secret, err := hex.DecodeString("ca1626252c53cf1a4dc46695e7fcc46594cb4ccadedb6712dfda0753f3ae355e")
	require.NoError(t, err)
	share, err := base64.RawStdEncoding.DecodeString("TEiF0ypqr+bpvcqXNyCVJpL7OuwPdVwPL7KQEbFDOCc")
	require.NoError(t, err)
	body, err := base64.RawStdEncoding.DecodeString("hjabGXwSLQ9c3S6Lw2i+S2Tu2fiwQHHslbBN6B41FLE")
	require.NoError(t, err)
	l := lockedKey{share: share, body: body}
	fileKey, err := l.open(secret)
	require.NoError(t, err)
	require.Equal(t, "YELLOW SUBMARINE", string(fileKey))

	l.share = make([]byte, keySize) // of low order
	_, err = l.open(secret)
	require.ErrorIs(t, err, errBroken)
	l.share = share[1:]
	_, err = l.open(secret)
	require.ErrorIs(t, err, errBroken)
	l = lockedKey{share: share, body: body[1:]}
	_, err = l.open(secret)
	require.ErrorContains(t, err, "15 bytes")
}

func TestParseStanzas(t *testing.T) {
	t.Parallel()
	stanzas, err := someRecipient(t, bytes.Repeat([]byte{1}, keySize)).Wrap(make([]byte, 16))
	require.NoError(t, err)
	whole := stanzas[0]
	with := func(i int, value string) *age.Stanza {
		s := *whole
		s.Args = append([]string(nil), s.Args...)
		s.Args[i] = value
		return &s
	}
	for name, s := range map[string]*age.Stanza{
		"native":       {Type: "X25519", Args: whole.Args[1:2], Body: whole.Body},
		"version 1":    {Type: pluginName, Args: []string{strings.Repeat("A", 43), strings.Repeat("A", 16)}},
		"version 3":    with(0, "AAM"),
		"no arguments": {Type: pluginName},
	} {
		list, err := parseStanzas([]*age.Stanza{s})
		require.NoError(t, err, name)
		require.Empty(t, list, name)
	}
	for name, s := range map[string]*age.Stanza{
		"too few arguments": {Type: pluginName, Args: whole.Args[:4]},
		"too many":          {Type: pluginName, Args: append(slices.Clone(whole.Args), "AA")},
		"flag 2":            with(2, "Ag"),
		"flag with rest":    with(2, "AR"),
		"no flag":           with(2, ""),
		"a short salt":      with(3, "AAAA"),
		"no credential":     with(4, ""),
		"a long credential": with(4, strings.Repeat("A", 1366)),
		"no base64":         with(1, "?"),
	} {
		_, err := parseStanzas([]*age.Stanza{s})
		require.ErrorIs(t, err, errBroken, name)
	}
	many := make([]*age.Stanza, maxStanzas+1)
	for i := range many {
		many[i] = whole
	}
	_, err = parseStanzas(many)
	require.ErrorContains(t, err, "257")
	list, err := parseStanzas(many[1:])
	require.NoError(t, err)
	require.Len(t, list, maxStanzas)
}

func TestParseRecipientRefuses(t *testing.T) {
	t.Parallel()
	// Made by age-plugin-fido2-hmac for its own tests, in version 1.
	const old = "age1fido2-hmac1qqqsrgcqtpax86tmayc47ve7p300dpxj20uxrmwj0dc83z9qygw2gadfw395jr4fqjjc0r7vdn4qkaftxzjeemycun4ll9kp38x3cz" +
		"l4jk5jdqx969yjfeahhrqf8q9qgyf6s45d5avhser2uk8t6f5xy0e58qduv8m3hhk0w0zupfftexnzweth5fumd9mtmr7v6xlek8n6yespf3saz75wdmp24" +
		"52v78nfxqjsfrmccw30j9aw7vezt5u7rkcu6uhr5n8a"
	_, data, err := plugin.ParseRecipient(old)
	require.NoError(t, err)
	require.Equal(t, []byte{0, 1}, data[:2])
	r := someRecipient(t, bytes.Repeat([]byte{1}, keySize))
	_, data, err = plugin.ParseRecipient(r.String())
	require.NoError(t, err)
	other := plugin.EncodeRecipient("other", data)
	data[1] = 3
	for _, s := range []string{
		old, "", "age1", other, plugin.EncodeRecipient(pluginName, data), plugin.EncodeRecipient(pluginName, []byte{0, version}),
	} {
		_, err := parseRecipient(s)
		require.Error(t, err, "%q", s)
	}
}

func FuzzRecipient(f *testing.F) {
	r := someRecipient(f, bytes.Repeat([]byte{1}, keySize))
	_, data, err := plugin.ParseRecipient(r.String())
	require.NoError(f, err)
	f.Add(data)
	f.Add(data[:67])
	f.Add([]byte{0, 3})
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decodeRecipient(data)
		if err != nil {
			return
		}
		require.Equal(t, plugin.EncodeRecipient(pluginName, data), r.String())
		again, err := parseRecipient(r.String())
		require.NoError(t, err)
		require.Equal(t, r, again)
	})
}

func FuzzStanza(f *testing.F) {
	stanzas, err := someRecipient(f, bytes.Repeat([]byte{1}, keySize)).Wrap(make([]byte, 16))
	require.NoError(f, err)
	f.Add(strings.Join(stanzas[0].Args, " "), stanzas[0].Body)
	f.Add("AAI AA AA AA AA", []byte{})
	f.Fuzz(func(t *testing.T, args string, body []byte) {
		s := &age.Stanza{Type: pluginName, Args: strings.Fields(args), Body: body}
		list, err := parseStanzas([]*age.Stanza{s})
		if err != nil || len(list) == 0 {
			return
		}
		share := base64.RawStdEncoding.EncodeToString(list[0].share)
		require.Equal(t, s, list[0].stanza(&age.Stanza{Args: []string{share}, Body: list[0].body}))
		list[0].open(make([]byte, keySize)) // does not panic
	})
}
