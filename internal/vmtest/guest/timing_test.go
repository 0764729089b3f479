package guest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/virtual"
)

// TestTimes compares keyfob with fido2-tools on the same key: the time that the whole command takes, and the
// messages that the key gets, of which keyfob must not need more.
func TestTimes(t *testing.T) {
	key := attachSoftKey(t, virtual.Config{})
	setPIN(t, key, pin)
	id, _ := toolCredentialKey(t, toolRegister(t, key, "es256", "-h"))
	file, salt := pinFile(t, pin), newHash()
	credential := []string{"--credential", base64URL(id).String()}
	withPIN := []string{"--uv", "--pin-file", file}
	for _, c := range []struct {
		name         string
		ours, theirs func()
	}{
		{"register", func() { keyfobRegister(t, key) }, func() { toolRegister(t, key, "es256") }},
		{
			"register with PIN",
			func() { keyfobRegister(t, key, withPIN...) },
			func() { toolRegister(t, key, "es256", "-v") },
		},
		{
			"authenticate",
			func() { keyfobAuthenticate(t, key, credential...) },
			func() { toolAuthenticate(t, key, id, nil) },
		},
		{
			"authenticate with PIN",
			func() { keyfobAuthenticate(t, key, append(credential, withPIN...)...) },
			func() { toolAuthenticate(t, key, id, nil, "-v") },
		},
		{
			"hmac-secret",
			func() { keyfobAuthenticate(t, key, append(credential, "--salt", base64URL(salt).String())...) },
			func() { toolAuthenticate(t, key, id, salt, "-h") },
		},
	} {
		ours, theirs := compare(key, c.ours, c.theirs)
		ratio := float64(ours.median) / float64(theirs.median)
		t.Logf("%-22s keyfob %v, fido2-tools %v, ratio %.2f", c.name, ours, theirs, ratio)
		require.LessOrEqual(t, len(ours.messages), len(theirs.messages))
	}
}

// measurement is what a command cost.
type measurement struct {
	median   time.Duration
	messages []string // to the key
}

func (m measurement) String() string {
	return fmt.Sprintf("%v, %d messages (%s)",
		m.median.Round(time.Millisecond), len(m.messages), strings.Join(m.messages, " "))
}

// compare runs two commands in turns.
func compare(key *softKey, commands ...func()) (a, b measurement) {
	const rounds = 3
	var times [2][]time.Duration
	var messages [2][]string
	for range rounds {
		for i, command := range commands {
			key.heard.take()
			start := time.Now()
			command()
			times[i] = append(times[i], time.Since(start))
			messages[i] = key.heard.take()
		}
	}
	for i := range times {
		slices.Sort(times[i])
	}
	return measurement{times[0][rounds/2], messages[0]}, measurement{times[1][rounds/2], messages[1]}
}
