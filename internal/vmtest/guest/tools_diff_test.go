package guest

import (
	"crypto/ed25519"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// diffCase is a command line that both fido2-tools run, on equal keys in equal folders.
type diffCase struct {
	state string // of the key; empty if none is needed
	line  string // words with $ are replaced: see diffSuite.words
	stdin string

	// Where the two may differ, and why; empty if nowhere. Of "status", "stdout", "stderr", "state" and "files".
	differ, reason string

	verify string // the command line that has to accept what this one wrote, in both tools, with the same replacements
}

// diffSuite is what all command lines of the suite run in.
type diffSuite struct {
	*slot
	states *toolStates
	files  map[string]string // of the folder in which a command line runs
	links  string            // the folder in which our tools are
	words  *strings.Replacer
}

// TestToolsBehaveAlike runs Debian's fido2-tools and ours with the same command lines, on copies of the same key, and
// compares the exit status, what they write, the files that they make, and what became of the key.
func TestToolsBehaveAlike(t *testing.T) {
	s := newDiffSuite(t)
	start, differences := time.Now(), 0
	cases := diffCases()
	for _, c := range cases {
		if c.differ != "" {
			require.NotEmpty(t, c.reason, c.line)
			differences++
		}
		s.compare(t, c)
	}
	t.Logf("%d command lines, of which %d may differ, in %.1f s", len(cases), differences, time.Since(start).Seconds())
	require.GreaterOrEqual(t, len(cases), 300)
}

func newDiffSuite(t *testing.T) *diffSuite {
	t.Helper()
	s := &diffSuite{slot: attachSlot(t), states: newToolStates(t), links: t.TempDir()}
	mustRunTool(t, "", "keyfob", "install-tools", s.links)
	finger := base64Of(s.states.finger)
	s.words = strings.NewReplacer("$dev", s.Path, "$ada", base64Of(s.states.ada.ID), "$bob", base64Of(s.states.bob.ID),
		"$carl", base64Of(s.states.carl.ID), "$uid", base64Of([]byte("id of ada")), "$finger", finger)
	s.files = diffFiles(t, s.states)
	s.record(t)
	return s
}

// record adds what Debian's tools make with the key "full", for command lines that verify.
func (s *diffSuite) record(t *testing.T) {
	t.Helper()
	for _, r := range []struct{ file, line string }{
		{"made", "fido2-cred -M -i cred.in $dev"},
		{"made.h", "fido2-cred -M -h -i cred.in $dev"},
		{"made.c", "fido2-cred -M -c 2 -i cred.in $dev"},
		{"made.eddsa", "fido2-cred -M -i cred.in $dev eddsa"},
		{"made.es384", "fido2-cred -M -i cred.in $dev es384"},
		{"made.rs256", "fido2-cred -M -i cred.in $dev rs256"},
		{"signed", "fido2-assert -G -i assert.in $dev"},
		{"signed.h", "fido2-assert -G -h -i salt32.in $dev"},
		{"signed.v", "fido2-assert -G -v -i assert.in $dev"},
	} {
		run := s.run(t, diffCase{state: "full", line: r.line, stdin: pin + "\n"}, "/bin", r.line)
		require.Zero(t, run.status, "%s: %s", r.line, run.stderr)
		s.files[r.file] = run.stdout
	}
	lines := strings.SplitAfter(s.files["made"], "\n")
	for i, name := range []string{"hash", "rp", "format", "data", "id", "sig"} {
		changed := append([]string{}, lines...)
		changed[i] = map[bool]string{true: "Zm9v\n", false: "foo.example\n"}[i != 1 && i != 2]
		s.files["made-bad-"+name] = strings.Join(changed, "")
		s.files["made-until-"+name] = strings.Join(lines[:i], "")
	}
	lines = strings.SplitAfter(s.files["signed"], "\n")
	for i, name := range []string{"hash", "rp", "data", "sig"} {
		changed := append([]string{}, lines...)
		changed[i] = map[bool]string{true: "Zm9v\n", false: "foo.example\n"}[i != 1]
		s.files["signed-bad-"+name] = strings.Join(changed, "")
		s.files["signed-until-"+name] = strings.Join(lines[:i], "")
	}
}

// diffFiles are the files that command lines can name.
func diffFiles(t *testing.T, s *toolStates) map[string]string {
	t.Helper()
	hash, user := base64Of(make([]byte, 32)), base64Of([]byte("user"))
	lines := func(l ...string) string { return strings.Join(l, "\n") + "\n" }
	public, _, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	edwards, err := cose.NewKey(cose.EdDSA, public)
	require.NoError(t, err)
	id, salt := base64Of(s.wrapped.ID), base64Of([]byte(strings.Repeat("salt", 8)))
	return map[string]string{
		"cred.in":     lines(hash, rpID, "Eve", user),
		"crlf.in":     hash + "\r\n" + rpID + "\r\nEve\r\n" + user + "\r\n",
		"unended.in":  hash + "\n" + rpID + "\nEve\n" + user,
		"more.in":     lines(hash, rpID, "Eve", user, "more", "lines"),
		"short.in":    lines(hash, rpID, "Eve"),
		"empty.in":    "",
		"nul.in":      lines(hash, "example\x00.org", "Eve", user),
		"nob64.in":    lines("no base64", rpID, "Eve", user),
		"noid.in":     lines(hash, rpID, "Eve", ""),
		"norp.in":     lines(hash, "", "Eve", user),
		"noname.in":   lines(hash, rpID, "", user),
		"hash5.in":    lines(base64Of([]byte("hash5")), rpID, "Eve", user),
		"longid.in":   lines(hash, rpID, "Eve", base64Of(make([]byte, 65))),
		"utf8.in":     lines(hash, rpID, "Ève ☃", user),
		"assert.in":   lines(hash, rpID, id),
		"ada.in":      lines(hash, rpID, base64Of(s.ada.ID)),
		"bob.in":      lines(hash, rpID, base64Of(s.bob.ID)),
		"rk.in":       lines(hash, rpID),
		"rkother.in":  lines(hash, "other.test"),
		"nobody.in":   lines(hash, "nobody.test"),
		"wrongrp.in":  lines(hash, "other.test", id),
		"junkid.in":   lines(hash, rpID, base64Of([]byte("junk"))),
		"longcred.in": lines(hash, rpID, base64Of(make([]byte, 300))),
		"ahash5.in":   lines(base64Of([]byte("hash5")), rpID, id),
		"salt32.in":   lines(hash, rpID, id, salt),
		"salt64.in":   lines(hash, rpID, id, base64Of(make([]byte, 64))),
		"salt33.in":   lines(hash, rpID, id, base64Of(make([]byte, 33))),
		"rksalt.in":   lines(hash, rpID, salt),
		"adasalt.in":  lines(hash, rpID, base64Of(s.ada.ID), salt),
		"bobsalt.in":  lines(hash, rpID, base64Of(s.bob.ID), salt),
		"key.pem":     pemOf(t, s.wrapped.PublicKey),
		"ed.pem":      pemOf(t, edwards),
		"junk.pem":    "junk\n",
		"blob":        strings.Repeat("blob of fido2-token ", 200),
		"tiny":        "a blob",
		"nothing":     "",
		"big":         strings.Repeat("0123456789abcdef", 400),
		"ada.key":     lines(base64Of(s.ada.LargeBlobKey)),
		"new.key":     lines(base64Of([]byte(strings.Repeat("k", 32)))),
		"short.key":   lines(base64Of([]byte("short"))),
		"junk.key":    "not base64\n",
		"full.out":    "what was here before",
	}
}

// run runs a command line in a new folder, with the tools of the folder bin.
func (s *diffSuite) run(t *testing.T, c diffCase, bin, line string) (r diffRun) {
	t.Helper()
	dir, err := os.MkdirTemp("", "tools")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	words := strings.Fields(line)
	for i, word := range words {
		words[i] = s.words.Replace(word)
		if content, ok := s.files[word]; ok {
			require.NoError(t, os.WriteFile(filepath.Join(dir, word), []byte(content), 0o600))
		}
	}
	command := exec.Command(filepath.Join(bin, words[0]), words[1:]...)
	command.Args[0] = words[0]
	command.Dir, command.Stdin = dir, strings.NewReader(c.stdin)
	command.Env = append(os.Environ(), "KEYFOB_FIDO2_TOOLS=1.12")
	start := func() { r.toolResult = run(t, command) }
	if c.state == "" {
		start()
	} else {
		key := s.states.keys[c.state].key(t)
		s.with(key, start)
		r.state = summary(t, key)
		require.NoError(t, key.Close())
	}
	r.files = changedFiles(t, dir, s.files)
	return r
}

// diffRun is what a command line left behind.
type diffRun struct {
	toolResult
	state string
	files map[string]string // that were made or changed: the mode and the content
}

func changedFiles(t *testing.T, dir string, before map[string]string) map[string]string {
	t.Helper()
	changed := map[string]string{}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		if old, ok := before[e.Name()]; ok && old == string(content) {
			continue
		}
		info, err := e.Info()
		require.NoError(t, err)
		changed[e.Name()] = info.Mode().String() + "\n" + string(content)
	}
	return changed
}

func (s *diffSuite) compare(t *testing.T, c diffCase) {
	t.Helper()
	theirs, ours := s.run(t, c, "/bin", c.line), s.run(t, c, s.links, c.line)
	report := func(what, theirs, ours string) {
		if theirs != ours && !alike(theirs, ours) && !strings.Contains(c.differ, what) {
			t.Errorf("%s: %s (stdin %q): %s\ntheirs: %q\nours:   %q", c.state, c.line, c.stdin, what, theirs, ours)
		}
	}
	if theirs.status != ours.status && !strings.Contains(c.differ, "status") {
		t.Errorf("%s: %s (stdin %q): status\ntheirs: %d %q\nours:   %d %q", c.state, c.line, c.stdin,
			theirs.status, theirs.stderr, ours.status, ours.stderr)
	}
	report("stdout", theirs.stdout, ours.stdout)
	report("stderr", theirs.stderr, ours.stderr)
	report("state", theirs.state, ours.state)
	for name := range theirs.files {
		report("files", name+theirs.files[name], name+ours.files[name])
	}
	for name := range ours.files {
		report("files", name+theirs.files[name], name+ours.files[name])
	}
	if c.verify == "" {
		return
	}
	for _, written := range []string{theirs.stdout, ours.stdout} {
		for _, bin := range []string{"/bin", s.links} {
			r := s.run(t, diffCase{stdin: written}, bin, c.verify)
			if r.status != 0 {
				t.Errorf("%s: %s of %s: %s\n%q", c.line, c.verify, bin, r.stderr, written)
			}
		}
	}
}

// alike compares what has random values in it, line by line: base64 may be another, but must be as long, but for ECDSA
// signatures, and say the same where it is authenticator data.
func alike(a, b string) bool {
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	if len(as) != len(bs) {
		return false
	}
	for i := range as {
		if as[i] != bs[i] && !alikeWords(strings.Fields(as[i]), strings.Fields(bs[i])) {
			return false
		}
	}
	return true
}

func alikeWords(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, errA := base64.StdEncoding.DecodeString(a[i])
		y, errB := base64.StdEncoding.DecodeString(b[i])
		if a[i] != b[i] && (errA != nil || errB != nil || len(x) < 16 || !alikeBytes(x, y)) {
			return false
		}
	}
	return true
}

func alikeBytes(a, b []byte) bool {
	x, y := authDataOf(a), authDataOf(b)
	if x == nil || y == nil {
		return len(a) == len(b) || a[0] == 0x30 && b[0] == 0x30 && len(a)-len(b) < 8 && len(b)-len(a) < 8
	}
	return x.RPIDHash == y.RPIDHash && x.Flags == y.Flags && x.SignCount == y.SignCount &&
		len(x.Extensions) == len(y.Extensions)
}

// authDataOf returns the authenticator data in a CBOR byte string, nil if that is something else.
func authDataOf(encoded []byte) *ctap2.AuthenticatorData {
	var b []byte
	if ctapcbor.Unmarshal(encoded, &b) != nil {
		return nil
	}
	data, err := ctap2.ParseAuthenticatorData(b)
	if err != nil {
		return nil
	}
	return data
}
