package vmtest

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// transcript is what the guest said on its console.
type transcript struct {
	results  []*result // in the order in which the tests started
	finished bool      // the guest ended by itself, with status
	status   int
	boot     string // "booted in 2.9 s"
}

// result is one test or subtest of the guest.
type result struct {
	name    string
	verdict string   // PASS, FAIL or SKIP; empty when the test did not end
	output  []string // what came while it ran, and after it until the next test
}

// problem says what is wrong with the test, or is empty.
func (r *result) problem() string {
	switch {
	case r.verdict == "SKIP" && expectsSkip(r.name):
		return ""
	case r.verdict == "PASS" && expectsSkip(r.name):
		return "passed in the guest, where nothing to test was expected"
	case r.verdict == "PASS":
		return ""
	case r.verdict == "FAIL":
		return "failed in the guest"
	case r.verdict == "SKIP":
		return "skipped in the guest, where everything that it needs should be"
	}
	return "did not end"
}

// problem says what is wrong with the run as a whole, or is empty.
func (t *transcript) problem() string {
	switch {
	case !t.finished:
		return "the guest did not finish"
	case len(t.results) == 0:
		return "the guest ran no test"
	case t.status != 0:
		return fmt.Sprintf("the guest's tests exit with status %d", t.status)
	}
	return ""
}

// The lines that go test -v and process 1 write. A line of the console may end in a carriage return.
var (
	switchLine  = regexp.MustCompile(`^=== (?:RUN|CONT|NAME|PAUSE) +(\S+)$`)
	verdictLine = regexp.MustCompile(`^ *--- (PASS|FAIL|SKIP): (\S+) \(`)
	statusLine  = regexp.MustCompile(`^vmtest: exit status (\d+)$`)
	bootLine    = regexp.MustCompile(`^vmtest: (booted in .*)$`)
)

// parseConsole finds the tests in the guest's output. Lines before the first of them are left out.
func parseConsole(console string) transcript {
	var t transcript
	byName := map[string]*result{}
	var current *result
	for line := range strings.Lines(console) {
		line = strings.TrimRight(line, "\r\n")
		if m := switchLine.FindStringSubmatch(line); m != nil {
			current = t.result(byName, m[1])
		} else if m := verdictLine.FindStringSubmatch(line); m != nil {
			current = t.result(byName, m[2])
			current.verdict = m[1]
			current.output = append(current.output, strings.TrimSpace(line))
		} else if m := statusLine.FindStringSubmatch(line); m != nil {
			t.finished, current = true, nil
			t.status, _ = strconv.Atoi(m[1]) // all digits; one that overflows is not 0 either
		} else if m := bootLine.FindStringSubmatch(line); m != nil {
			t.boot = m[1]
		} else if current != nil {
			current.output = append(current.output, line)
		}
	}
	return t
}

// result returns the entry of a test, which it makes when the test is new.
func (t *transcript) result(byName map[string]*result, name string) *result {
	r, ok := byName[name]
	if !ok {
		r = &result{name: name}
		byName[name] = r
		t.results = append(t.results, r)
	}
	return r
}

// tail returns the last lines of the console, for people.
func tail(console string, lines int) string {
	all := strings.Split(strings.TrimRight(console, "\r\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
