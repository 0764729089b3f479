package vmtest

import (
	"path"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// member is what the kernel unpacks: the fields of a newc header that matter, and the contents.
type member struct {
	name, data         string
	mode, major, minor int
}

// unpack reads an archive as the kernel does.
func unpack(t *testing.T, b []byte) []member {
	t.Helper()
	const headerSize = 110
	align := func(n int) int { return (n + 3) &^ 3 }
	var members []member
	for {
		require.Equal(t, "070701", string(b[:6]))
		field := func(i int) int {
			n, err := strconv.ParseUint(string(b[6+8*i:14+8*i]), 16, 32)
			require.NoError(t, err)
			return int(n)
		}
		m := member{mode: field(1), major: field(9), minor: field(10)}
		nameEnd := headerSize + field(11)
		require.Zero(t, b[nameEnd-1])
		m.name = string(b[headerSize : nameEnd-1])
		dataStart := align(nameEnd)
		m.data = string(b[dataStart : dataStart+field(6)])
		b = b[align(dataStart+field(6)):]
		if m.name == "TRAILER!!!" {
			require.Empty(t, b)
			return members
		}
		members = append(members, m)
	}
}

func TestArchiveUnpacks(t *testing.T) {
	t.Parallel()
	var a archive
	a.console()
	a.file("init", 0o755, []byte("12345"))
	a.file("lib/deep/er/x", 0o644, nil)
	a.file("lib/deep/y", 0o644, []byte("1234"))
	a.file("init", 0o644, []byte("a second one"))
	require.Equal(t, []member{
		{name: "dev", mode: 0o040755},
		{name: "dev/console", mode: 0o020600, major: 5, minor: 1},
		{name: "init", mode: 0o100755, data: "12345"},
		{name: "lib", mode: 0o040755},
		{name: "lib/deep", mode: 0o040755},
		{name: "lib/deep/er", mode: 0o040755},
		{name: "lib/deep/er/x", mode: 0o100644},
		{name: "lib/deep/y", mode: 0o100644, data: "1234"},
	}, unpack(t, a.bytes()))
}

func FuzzArchive(f *testing.F) {
	f.Add("init", []byte("contents"))
	f.Add("a/b", []byte{})
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		if name != path.Clean(name) || path.IsAbs(name) || name == "." || name == "TRAILER!!!" {
			t.Skip()
		}
		var a archive
		a.file(name, 0o644, data)
		members := unpack(t, a.bytes())
		require.Equal(t, member{name: name, data: string(data), mode: 0o100644}, members[len(members)-1])
	})
}
