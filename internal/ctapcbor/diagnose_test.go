package ctapcbor

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDiagnose(t *testing.T) {
	text, rest, err := Diagnose([]byte{0xa2, 0x01, 0x42, 0xab, 0xcd, 0x20, 0xf5, 0xff})
	require.NoError(t, err)
	require.Equal(t, "{1: h'abcd', -1: true}", text)
	require.Equal(t, []byte{0xff}, rest)
	_, _, err = Diagnose([]byte{0xa2, 0x01})
	require.Error(t, err)
}

// A terminal must not obey a name, and a name that was cut in the middle of a character is still a name.
func TestDiagnoseText(t *testing.T) {
	text, err := DiagnoseText([]byte("a\x1b[2J\"ü\xc3"))
	require.NoError(t, err)
	require.Equal(t, `"a\u001b[2J\"\u00fc\ufffd"`, text)
}
