package fido2tools

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What OpenSSL makes of these was seen with fido2-cred -M -d of Debian 12.
func TestDecodeBase64(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		"AAAA\n": "000000", "AAAA": "000000", "AA==\n": "00", "AA==\r\n": "00", "AAA=\n": "0000",
		"AA==junk\n": "0000008ee9e4", "AAAAA\n": "000000", "AAAA====\n": "00000000", "AAAA-\n": "000000",
		"AAAA---\n": "000000", "AA==AA==\n": "00000000", "====\n": "00", "A===\n": "00", "AAA=BBBB\n": "000000041041",
		"AB=C\n": "001002", "AAAA=\n": "000000", "AAAAAA===\n": "00000000", "AAAA \n": "000000",
		"AAA\n": "", " AAAA\n": "", "AA-A\n": "", "AA_A\n": "", "AA A\n": "", "\n": "", "": "", "A\nAA": "",
	}
	for text, want := range cases {
		b, err := decodeBase64([]byte(text))
		if want == "" {
			require.Error(t, err, "%q", text)
			continue
		}
		require.NoError(t, err, "%q", text)
		require.Equal(t, want, hex.EncodeToString(b), "%q", text)
	}
}

func FuzzDecodeBase64(f *testing.F) {
	for _, seed := range []string{"AAAA\n", "AA==junk", "====", " A", "A\r\nAA", "\x00\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if decoded, err := decodeBase64(b); err == nil {
			require.NotEmpty(t, decoded)
		}
		if len(b) == 0 {
			return
		}
		again, err := decodeBase64([]byte(encodeBase64(b) + "\n"))
		require.NoError(t, err)
		require.Equal(t, b, again)
		require.Equal(t, base64.StdEncoding.EncodeToString(b), encodeBase64(b))
	})
}

func linesOf(text string) *lines { return &lines{r: bufio.NewReader(strings.NewReader(text))} }

func TestLines(t *testing.T) {
	t.Parallel()
	l := linesOf("example.org\r\n\nAAAA\r\nlast")
	require.Equal(t, "example.org\r", l.text(), "a carriage return belongs to a line of text")
	require.Equal(t, "", l.text(), "an empty line is a text")
	require.Equal(t, []byte{0, 0, 0}, l.bytes())
	require.Equal(t, "las", l.text(), "the last character goes, whatever it is")
	require.NoError(t, l.err)
	require.Empty(t, l.text())
	require.Equal(t, errInput, l.err)
}

func TestLinesThatAreWrong(t *testing.T) {
	t.Parallel()
	cases := map[string]string{"end": "", "NUL": "a\x00b\nAAAA\n", "endless": strings.Repeat("x", maxLine+1) + "\nAAAA\n"}
	for name, text := range cases {
		l := linesOf(text)
		require.Empty(t, l.text(), name)
		require.Equal(t, errInput, l.err, name)
		require.Nil(t, l.bytes(), "%s: the first error sticks", name)
	}
	l := linesOf("no base64\nAAAA\n")
	require.Nil(t, l.bytes())
	require.Equal(t, errInput, l.err)
}

func TestOptionalLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]byte{"": nil, "no base64\n": nil, "AAAA\n": {0, 0, 0}} {
		l := linesOf(text)
		require.Equal(t, want, l.optionalBytes())
		require.NoError(t, l.err)
	}
}

func TestInputOfAFileThatIsNotThere(t *testing.T) {
	t.Parallel()
	_, _, err := (&tool{}).input("/nonexistent/file")
	require.EqualError(t, err, "open /nonexistent/file: No such file or directory")
}

// An output file is its owner's, and keeps what it held until there is something else to keep.
func TestOutputFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "out")
	out, err := (&tool{}).output(path)
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	require.NoError(t, out.write([]byte("a long result")))
	out.close()

	out, err = (&tool{}).output(path)
	require.NoError(t, err)
	requireContent(t, path, "a long result")
	require.NoError(t, out.write([]byte("short")))
	out.close()
	requireContent(t, path, "short")
}

func requireContent(t *testing.T, path, want string) {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, want, string(content))
}

func TestDump(t *testing.T) {
	t.Parallel()
	stderr := new(bytes.Buffer)
	tl := &tool{System: System{Stderr: stderr}}
	tl.dump("x", bytes.Repeat([]byte{0xab}, 17))
	tl.dump("y", bytes.Repeat([]byte{1}, 16))
	tl.dump("z", nil)
	row := strings.Repeat("ab ", 16)
	require.Equal(t, "x:\n  "+row+"\n  ab \ny:\n  "+strings.Repeat("01 ", 16)+"\nz:\n  \n", stderr.String())
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"0": 0, "2": 2, " \t7": 7, "+3": 3, "2147483647": 2147483647} {
		n, err := number("-c", text)
		require.NoError(t, err, "%q", text)
		require.Equal(t, want, n, "%q", text)
	}
	for _, text := range []string{"", "x", "9x", "-1", "2147483648", "99999999999999999999", "0x10", "1_0"} {
		_, err := number("-c", text)
		require.EqualError(t, err, "-c: invalid argument '"+text+"'")
	}
}

func TestToggles(t *testing.T) {
	t.Parallel()
	var v toggles
	require.NoError(t, v.set("up=true"))
	require.NoError(t, v.set("uv=false"))
	require.Equal(t, toggles{up: on, uv: off}, v)
	require.True(t, *v.up.pointer())
	require.False(t, *v.uv.pointer())
	require.Nil(t, v.pin.pointer())
	for text, message := range map[string]string{
		"up": "invalid assignment 'up'", "up=yes": "unknown value 'yes'", "ip=true": "unknown key 'ip'", "": "invalid assignment ''",
	} {
		require.EqualError(t, v.set(text), message)
	}
}

func TestCodeNames(t *testing.T) {
	t.Parallel()
	for c, name := range map[code]string{
		0: "SUCCESS", 0x31: "PIN_INVALID", 0x36: "PIN_REQUIRED", 0x7f: "ERR_OTHER", -2: "RX", -9: "INTERNAL", 0x3e: "UNKNOWN",
		-4: "RX_INVALID_CBOR", -12: "UNKNOWN",
	} {
		require.EqualError(t, c, "FIDO_ERR_"+name)
	}
}
