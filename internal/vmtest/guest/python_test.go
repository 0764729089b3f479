package guest

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// pythonScript drives a key with Debian's python3-fido2.
//
//go:embed fido2.py
var pythonScript string

// python runs pythonScript, which can take any number of calls, for starting it takes seconds.
type python struct {
	stdin io.Writer
	lines chan []byte
}

// hexBytes is how the script writes bytes.
type hexBytes []byte

func (b *hexBytes) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	*b = raw
	return err
}

// startPython starts the script, which ends with the test.
func startPython(t *testing.T) *python {
	t.Helper()
	c := exec.Command("/usr/bin/python3", "-I", "-c", pythonScript)
	c.Stderr = os.Stderr
	stdin, err := c.StdinPipe()
	require.NoError(t, err)
	stdout, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	p := &python{stdin: stdin, lines: make(chan []byte)}
	go p.read(stdout)
	t.Cleanup(func() {
		stdin.Close()
		require.Nil(t, receive(t, p.lines), "it wrote more than it was asked")
		require.Zero(t, wait(t, c))
	})
	require.Equal(t, `"ready"`, string(receiveWithin(t, p.lines, 4*limit)))
	return p
}

func (p *python) read(stdout io.Reader) {
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		p.lines <- bytes.Clone(lines.Bytes())
	}
	close(p.lines)
}

// call calls a function of the script, and stores in result, unless it is nil, what that returned. A key that refuses
// fails the test.
func (p *python) call(t *testing.T, result any, key *softKey, function string, arguments ...any) {
	t.Helper()
	line := p.send(t, key, function, arguments)
	if result == nil {
		require.Equal(t, "null", string(line), function)
		return
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields() // such as "error"
	require.NoError(t, d.Decode(result), "%s: %s", function, line)
}

// refused calls a function of the script that must fail, and returns the name of the error.
func (p *python) refused(t *testing.T, key *softKey, function string, arguments ...any) string {
	t.Helper()
	var result struct{ Error string }
	line := p.send(t, key, function, arguments)
	require.NoError(t, json.Unmarshal(line, &result), "%s: %s", function, line)
	return result.Error
}

// send returns the line that the script answers, which is nil if it has ended.
func (p *python) send(t *testing.T, key *softKey, function string, arguments []any) []byte {
	t.Helper()
	line, err := json.Marshal(append([]any{function, key.Path}, arguments...))
	require.NoError(t, err)
	_, err = p.stdin.Write(append(line, '\n'))
	require.NoError(t, err)
	return receive(t, p.lines)
}
