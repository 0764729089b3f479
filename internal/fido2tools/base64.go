package fido2tools

import (
	"bytes"
	"encoding/base64"
	"errors"
)

var errBase64 = errors.New("not base64")

// decodeBase64 decodes what OpenSSL's BIO_f_base64 does without line breaks, the way it does: whole groups of four, less
// what ends a line. Up to three characters after the last group are not looked at, and padding within the text is zeros.
func decodeBase64(text []byte) ([]byte, error) {
	text = text[:len(text)&^3]
	padding := len(text) - len(bytes.TrimRight(text, "="))
	groups := bytes.TrimLeft(text, " \t")
	for len(groups) > 3 && bytes.IndexByte([]byte(" \t\r\n-"), groups[len(groups)-1]) >= 0 {
		groups = groups[:len(groups)-1]
	}
	if len(groups)%4 != 0 {
		return nil, errBase64
	}
	zeros := bytes.ReplaceAll(groups, []byte("="), []byte("A"))
	decoded := make([]byte, base64.StdEncoding.DecodedLen(len(zeros)))
	n, err := base64.StdEncoding.Decode(decoded, zeros)
	n -= min(padding, 2)
	if err != nil || n <= 0 || bytes.ContainsAny(zeros, "\r\n") {
		return nil, errBase64
	}
	return decoded[:n], nil
}

// encodeBase64 returns one line of text. The tools have no way to write what is not there.
func encodeBase64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
