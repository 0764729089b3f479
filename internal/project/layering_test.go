// Package project holds tests of the repository itself: imports point down only, and the README tells no lies.
package project

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/keyfob-go/keyfob/"

// mayImport says for each package which others it may import besides the standard library: those of this module by
// their folders, the rest by their paths. What is not listed here does not exist.
var mayImport = map[string][]string{
	"hid":               {"golang.org/x/sys/unix", "golang.org/x/sys/windows", "github.com/ebitengine/purego"},
	"hid/hidapi":        {"hid", "github.com/sstallion/go-hid"}, // with the tag hidapi only, and imported by nothing else
	"ctaphid":           {},
	"internal/ctapcbor": {"github.com/fxamacker/cbor/v2"},
	"cose":              {"internal/ctapcbor"},
	"ctap2":             {"cose", "internal/ctapcbor"},
	"ctap1":             {"cose"},
	"webauthn": {
		"ctap2", "cose", "internal/ctapcbor", "internal/strictjson", "golang.org/x/net/idna", "golang.org/x/net/publicsuffix",
	},
	"authenticator": {
		"webauthn", "ctap1", "ctap2", "ctaphid", "hid", "cose", "internal/ctapcbor", "golang.org/x/text/unicode/norm",
	},
	"virtual": {"ctap1", "ctap2", "ctaphid", "cose", "hid", "internal/attest", "internal/ctapcbor", "golang.org/x/sys/unix"},

	"examples/quickstart": {"authenticator", "webauthn", "virtual", "ctap2", "cose", "hid", "golang.org/x/term"},
	"examples/luks":       {"authenticator", "golang.org/x/term"},
	"examples/hidapi":     {"authenticator", "webauthn", "ctap2", "hid/hidapi"},

	"internal/behaviour": {"authenticator", "virtual", "webauthn", "ctap2", "cose", testify}, // a suite of tests

	"internal/fido2tools": {"ctap1", "ctap2", "ctaphid", "cose", "hid", "internal/ctapcbor", "golang.org/x/term"},

	"internal/attest": {"cose", "ctap2", "internal/ctapcbor"},
	"internal/redact": {"ctap2", "ctaphid", "internal/ctapcbor"},

	"internal/helper":     {"authenticator", "hid", "webauthn", "internal/strictjson"},
	"internal/strictjson": {},

	"internal/seeds":           {},
	"internal/project":         {},
	"internal/transcripts":     {},
	"internal/usbip":           {"golang.org/x/sys/unix"},
	"internal/vmtest":          {},
	"internal/vmtest/init":     {"golang.org/x/sys/unix"},
	"internal/vmtest/guest":    {},
	"internal/vmtest/winguest": {},
}

// mayTest is what tests may import besides.
const testify = "github.com/stretchr/testify/require"

// All files count, whatever system they are for.
func TestImportsPointDown(t *testing.T) {
	root := "../.."
	seen := map[string]bool{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && file != root) {
			return fs.SkipDir
		}
		if d.IsDir() && file != root {
			if _, err := os.Stat(filepath.Join(file, "go.mod")); err == nil {
				return fs.SkipDir // a module of its own
			}
		}
		if path.Ext(file) != ".go" {
			return nil
		}
		rel, err := filepath.Rel(root, filepath.Dir(file))
		require.NoError(t, err)
		folder := filepath.ToSlash(rel)
		seen[folder] = true
		check(t, folder, file)
		return nil
	})
	require.NoError(t, err)
	for folder := range mayImport {
		require.True(t, seen[folder], "%s is listed but does not exist", folder)
	}
}

func check(t *testing.T, folder, file string) {
	allowed, listed := mayImport[folder]
	require.True(t, listed, "%s is not listed", folder)
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	require.NoError(t, err)
	test := strings.HasSuffix(file, "_test.go")
	for _, spec := range f.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		require.NoError(t, err)
		name, ours := strings.CutPrefix(imported, module)
		switch {
		case slices.Contains(allowed, name), isStandard(imported):
		case test && (ours || imported == testify || strings.HasPrefix(imported, "golang.org/x/")):
		default:
			t.Errorf("%s imports %s", file, imported)
		}
	}
}

// isStandard says that a path is of the standard library: its first element has no dot.
func isStandard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

// What hid and ctaphid import of this module is nothing, whatever the table above will say one day.
func TestTheBottomStandsAlone(t *testing.T) {
	for _, folder := range []string{"hid", "ctaphid"} {
		for _, imported := range mayImport[folder] {
			require.NotContains(t, mayImport, imported, "%s is of this module", imported)
		}
	}
	for folder, imports := range mayImport {
		program := strings.HasPrefix(folder, "cmd/") || strings.HasPrefix(folder, "examples/")
		if !program && folder != "virtual" && folder != "internal/behaviour" {
			require.NotContains(t, imports, "virtual", "%s is library code", folder)
		}
	}
}
