package ctap1

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctaphid"
)

var _ Transport = (*ctaphid.Channel)(nil)

// keyFunc is a key that answers each APDU with what the function returns.
type keyFunc func(apdu []byte) ([]byte, error)

func (f keyFunc) Msg(_ context.Context, apdu []byte) ([]byte, error) { return f(apdu) }

// constant is a key that has one answer to everything.
func constant(answer []byte) keyFunc {
	return func([]byte) ([]byte, error) { return answer, nil }
}

// script is a key that gives its answers one after the other, and then only the last one. It keeps what it was sent.
type script struct {
	answers [][]byte
	sent    [][]byte
}

func (s *script) Msg(_ context.Context, apdu []byte) ([]byte, error) {
	at := min(len(s.sent), len(s.answers)-1)
	s.sent = append(s.sent, slices.Clone(apdu))
	return s.answers[at], nil
}

// status is an answer without data.
func status(sw StatusWord) []byte { return binary.BigEndian.AppendUint16(nil, uint16(sw)) }

// ok is an answer with data.
func ok(data []byte) []byte { return slices.Concat(data, status(statusOK)) }

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	require.NoError(t, err)
	return b
}

func unhex32(t testing.TB, s string) [32]byte {
	t.Helper()
	b := unhex(t, s)
	require.Len(t, b, 32)
	return [32]byte(b)
}

// The examples of FIDO U2F Raw Message Formats 1.2, section 8.
const (
	exampleApplication = "f0e6a6a97042a4f1f1c87f5f7d44315b2d852c2df5c7991cc66241bf7072d1c4"
	exampleChallenge   = "4142d21c00d94ffb9d504ada8f99b721f4b191ae4e37ca0140f696b6983cfacb"
	exampleKeyHandle   = "2a552dfdb7477ed65fd84133f86196010b2215b57da75d315b7b9e8fe2e3925a" +
		"6019551bab61d16591659cbaf00b4950f7abfe6660e2e006f76868b772d70c25"
	examplePoint = "04b174bc49c7ca254b70d2e5c207cee9cf174820ebd77ea3c65508c26da51b657c" +
		"1cc6b952f8621697936482da0a6d3d3826a59095daf6cd7c03e2e60385d2f6d9"
	exampleCertificate = "3082013c3081e4a003020102020a47901280001155957352300a06082a8648ce3d0403023017311530130603550403" +
		"130c476e756262792050696c6f74301e170d3132303831343138323933325a170d3133303831343138323933325a3031312f302d06" +
		"03550403132650696c6f74476e756262792d302e342e312d34373930313238303030313135353935373335323059301306072a8648" +
		"ce3d020106082a8648ce3d030107034200048d617e65c9508e64bcc5673ac82a6799da3c1446682c258c463fffdf58dfd2fa3e6c37" +
		"8b53d795c4a4dffb4199edd7862f23abaf0203b4b8911ba0569994e101300a06082a8648ce3d0403020347003044022060cdb6061e" +
		"9c22262d1aac1d96d8c70829b2366531dda268832cb836bcd30dfa0220631b1459f09e6330055722c8d89b7f48883b9089b88d60d1" +
		"d9795902b30410df"
	exampleAttestation = "304502201471899bcc3987e62e8202c9b39c33c19033f7340352dba80fcab017db9230e4" +
		"02210082677d673d891933ade6f617e5dbde2e247e70423fd5ad7804a6d3d3961ef871"
	exampleRegistration = "05" + examplePoint + "40" + exampleKeyHandle + exampleCertificate + exampleAttestation

	exampleSignApplication = "4b0be934baebb5d12d26011b69227fa5e86df94e7d94aa2949a89f2d493992ca"
	exampleSignChallenge   = "ccd6ee2e47baef244d49a222db496bad0ef5b6f93aa7cc4d30c4821b3b9dbc57"
	exampleSignPoint       = "04d368f1b665bade3c33a20f1e429c7750d5033660c019119d29aa4ba7abc04aa7" +
		"c80a46bbe11ca8cb5674d74f31f8a903f6bad105fb6ab74aefef4db8b0025e1d"
	exampleSignature = "304402204b5f0cd17534cedd8c34ee09570ef542a353df4436030ce43d406de870b84778" +
		"0220267bb998fac9b7266eb60e7cb0b5eabdfd5ba9614f53c7b22272ec10047a923f"
	exampleAssertion = "01" + "00000001" + exampleSignature
)
