package vmtest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const goodConsole = "[    0.4] a line of the kernel\r\n" +
	"vmtest: booted in 1.55 s\r\n" +
	"=== RUN   TestOne\r\n" +
	"    one_test.go:1: hello\r\n" +
	"=== RUN   TestOne/sub\r\n" +
	"=== PAUSE TestOne/sub\r\n" +
	"=== CONT  TestOne/sub\r\n" +
	"    one_test.go:2: from the subtest\r\n" +
	"=== NAME  TestOne\r\n" +
	"    one_test.go:3: bye\r\n" +
	"--- PASS: TestOne (0.10s)\r\n" +
	"    --- PASS: TestOne/sub (0.10s)\r\n" +
	"=== RUN   TestTwo\r\n" +
	"--- PASS: TestTwo (0.00s)\r\n" +
	"PASS\r\n" +
	"\r\nvmtest: exit status 0\r\n"

func TestParseConsole(t *testing.T) {
	t.Parallel()
	require.Equal(t, transcript{
		finished: true,
		boot:     "booted in 1.55 s",
		results: []*result{
			{"TestOne", "PASS", []string{"    one_test.go:1: hello", "    one_test.go:3: bye", "--- PASS: TestOne (0.10s)"}},
			{"TestOne/sub", "PASS", []string{"    one_test.go:2: from the subtest", "--- PASS: TestOne/sub (0.10s)"}},
			{"TestTwo", "PASS", []string{"--- PASS: TestTwo (0.00s)", "PASS", ""}},
		},
	}, parseConsole(goodConsole))
}

func TestProblemsAreSeen(t *testing.T) {
	t.Parallel()
	const run, end = "=== RUN   TestOne\n", "vmtest: exit status 0\n"
	for name, c := range map[string]struct {
		console string
		want    []string // of the whole, then of each test
	}{
		"none":                 {goodConsole, []string{"", "", "", ""}},
		"nothing at all":       {"", []string{"did not finish"}},
		"no test":              {"testing: warning: no tests to run\nPASS\n" + end, []string{"ran no test"}},
		"failed":               {run + "--- FAIL: TestOne (1.00s)\nvmtest: exit status 1\n", []string{"status 1", "failed"}},
		"skipped":              {run + "--- SKIP: TestOne (1.00s)\n" + end, []string{"", "skipped"}},
		"hangs":                {run, []string{"did not finish", "did not end"}},
		"kernel panic":         {run + "[ 5.1] Kernel panic - not syncing: oops\n", []string{"did not finish", "did not end"}},
		"left out a test":      {run + "PASS\n" + end, []string{"", "did not end"}},
		"exit in mid-test":     {run + "vmtest: exit status 3\n", []string{"status 3", "did not end"}},
		"status of many bits":  {run + "--- PASS: TestOne (0s)\nvmtest: exit status 18446744073709551616\n", []string{"status", ""}},
		"verdict without a ()": {run + "--- PASS: TestOne\n" + end, []string{"", "did not end"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			guest := parseConsole(c.console)
			got := []string{guest.problem()}
			for _, r := range guest.results {
				got = append(got, r.problem())
			}
			require.Len(t, got, len(c.want))
			for i, want := range c.want {
				require.Contains(t, got[i], want)
				require.Equal(t, want == "", got[i] == "", got[i])
			}
		})
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	require.Equal(t, "b\nc", tail("a\nb\nc\r\n", 2))
	require.Equal(t, "a", tail("a", 2))
}

func FuzzParseConsole(f *testing.F) {
	f.Add(goodConsole)
	f.Add("=== RUN   TestOne\n--- FAIL: TestOne (1.00s)\npanic: oops\nvmtest: exit status 2\n")
	f.Fuzz(func(t *testing.T, console string) {
		first := parseConsole(console)
		again := parseConsole(render(first))
		require.Equal(t, first.problem(), again.problem())
		require.Len(t, again.results, len(first.results))
		for i, r := range first.results {
			require.Equal(t, r.name, again.results[i].name)
			require.Equal(t, r.verdict, again.results[i].verdict)
		}
	})
}

// render writes a console with the same verdicts.
func render(t transcript) string {
	var b strings.Builder
	for _, r := range t.results {
		fmt.Fprintf(&b, "=== RUN   %s\n", r.name)
		if r.verdict != "" {
			fmt.Fprintf(&b, "--- %s: %s (0.00s)\n", r.verdict, r.name)
		}
	}
	if t.finished {
		fmt.Fprintf(&b, "vmtest: exit status %d\n", t.status)
	}
	return b.String()
}
