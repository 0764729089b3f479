package guest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/virtual"
	"github.com/keyfob-go/keyfob/webauthn"
)

const helperCeremonies = 50

// TestHelperCostsLessThanTools has "keyfob helper" sign again and again, as a desktop application would, and compares the
// time and the CPU with what such applications do without it for each signature: fido2-token -L finds the key, which the
// helper does as well, and fido2-assert -G signs. The start and the end of the helper count.
func TestHelperCostsLessThanTools(t *testing.T) {
	key := attachSoftKey(t, virtual.Config{})
	id, publicKey := toolCredentialKey(t, toolRegister(t, key, "es256"))

	var ours, list, assert cost
	begin := time.Now()
	h := startHelper(t)
	for i := range helperCeremonies { // in turns, so that what else the machine does disturbs both
		h.sign(t, fmt.Sprint(i), id, publicKey)
		ours.wall += time.Since(begin)
		list.add(listWithTool(t, key))
		assert.add(assertWithTool(t, key, id))
		begin = time.Now()
	}
	ours.add(h.end(t))

	both := list
	both.add(assert)
	t.Logf("%d assertions: keyfob helper %v; fido2-token -L %v; fido2-assert -G %v; CPU ratio %.1f, without -L %.1f", helperCeremonies,
		ours, list, assert, both.cpu.Seconds()/ours.cpu.Seconds(), assert.cpu.Seconds()/ours.cpu.Seconds())
	require.Less(t, 3*ours.cpu, both.cpu)
	require.Less(t, ours.wall, both.wall)
}

// cost is what ceremonies took.
type cost struct{ wall, cpu time.Duration }

func (c *cost) add(more cost) {
	c.wall += more.wall
	c.cpu += more.cpu
}

func (c cost) String() string {
	return fmt.Sprintf("%v, CPU %v", c.wall.Round(time.Millisecond), c.cpu.Round(time.Millisecond))
}

// runningHelper is "keyfob helper", over every key of the guest.
type runningHelper struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func startHelper(t *testing.T) *runningHelper {
	t.Helper()
	h := &runningHelper{Cmd: exec.Command("keyfob", "helper")}
	var err error
	h.in, err = h.StdinPipe()
	require.NoError(t, err)
	out, err := h.StdoutPipe()
	require.NoError(t, err)
	h.out = bufio.NewScanner(out)
	h.out.Buffer(nil, 1<<20)
	require.NoError(t, h.Start())
	t.Cleanup(func() { h.Process.Kill() })
	return h
}

// sign has the credential sign, and verifies that.
func (h *runningHelper) sign(t *testing.T, request string, id []byte, key *cose.Key) {
	t.Helper()
	_, err := fmt.Fprintf(h.in, `{"type":"get","id":%q,"origin":"https://%s","options":{"rpId":%q,"challenge":%q,`+
		`"userVerification":"discouraged","allowCredentials":[{"type":"public-key","id":%q}]}}`+"\n",
		request, rpID, rpID, base64URL(newHash()), base64URL(id))
	require.NoError(t, err)
	for h.out.Scan() {
		var m struct {
			Type, ID string
			Result   webauthn.AuthenticationResponse
		}
		if json.Unmarshal(h.out.Bytes(), &m) != nil || m.Type != "result" {
			require.NotEqual(t, "error", m.Type, h.out.Text())
			continue
		}
		require.Equal(t, request, m.ID)
		hash := webauthn.ClientDataHash(m.Result.ClientDataJSON)
		require.NoError(t, webauthn.VerifySignature(key, m.Result.AuthenticatorData, hash[:], m.Result.Signature))
		return
	}
	require.Fail(t, "the helper ended", "%v", h.out.Err())
}

// end ends the helper and returns what that and all its CPU cost.
func (h *runningHelper) end(t *testing.T) cost {
	t.Helper()
	begin := time.Now()
	require.NoError(t, h.in.Close())
	require.Zero(t, wait(t, h.Cmd))
	return costSince(begin, h.Cmd)
}

// listWithTool finds the key with fido2-token -L.
func listWithTool(t *testing.T, key *softKey) cost {
	t.Helper()
	begin := time.Now()
	c := exec.Command("fido2-token", "-L")
	result := run(t, c)
	require.Contains(t, result.stdout, key.Path+": ", result.stderr)
	return costSince(begin, c)
}

// assertWithTool signs with fido2-assert -G.
func assertWithTool(t *testing.T, key *softKey, id []byte) cost {
	t.Helper()
	file := toolFile(t, base64Of(newHash()), rpID, base64Of(id))
	begin := time.Now()
	c := exec.Command("fido2-assert", "-G", "-i", file, key.Path)
	result := run(t, c)
	require.Zero(t, result.status, result.stderr)
	require.NotEmpty(t, result.stdout)
	return costSince(begin, c)
}

// costSince returns the cost of a program that has ended.
func costSince(begin time.Time, c *exec.Cmd) cost {
	return cost{time.Since(begin), c.ProcessState.UserTime() + c.ProcessState.SystemTime()}
}
