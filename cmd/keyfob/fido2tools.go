package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/internal/fido2tools"
)

// toolVersion is the variable that has the fido2-tools be those of another version than 1.17: "1.12" for Debian 12's.
const toolVersion = "KEYFOB_FIDO2_TOOLS"

// fido2Tool tells whether keyfob shall be one of the fido2-tools: it was called by such a name, or with one as its
// command.
func fido2Tool(argv []string) (name string, args []string, ok bool) {
	for i, word := range argv[:min(len(argv), 2)] {
		if i == 0 {
			word = strings.TrimSuffix(filepath.Base(word), ".exe")
		}
		if slices.Contains(fido2tools.Names(), word) {
			return word, argv[i+1:], true
		}
	}
	return "", nil, false
}

// runFIDO2Tool has none of keyfob's own flags, exit statuses and messages.
func runFIDO2Tool(ctx context.Context, name string, args []string) int {
	return fido2tools.Main(ctx, name, args, fido2tools.System{
		Stdin:    os.Stdin,
		Stdout:   os.Stdout,
		Stderr:   os.Stderr,
		Old:      os.Getenv(toolVersion) == "1.12",
		List:     hid.List,
		Open:     func(path string) (io.ReadWriteCloser, error) { return hid.Open(path) },
		Terminal: fido2tools.OpenTerminal,
	})
}

// toolFolder is the argument of install-tools.
type toolFolder string

func installToolsCommand(inv *invocation) *cobra.Command {
	var dir toolFolder
	return &cobra.Command{
		Use:    "install-tools DIR",
		Short:  "Make links in a folder by which keyfob is fido2-token, fido2-cred and fido2-assert.",
		Args:   cobra.ExactArgs(1),
		PreRun: func(_ *cobra.Command, args []string) { dir = toolFolder(args[0]) },
		RunE: inv.run(func(context.Context) (output, error) {
			program, err := os.Executable()
			if err != nil {
				return nil, err
			}
			return record{}, dir.install(program)
		}),
	}
}

// install makes links to the program. What is there already is left alone: unless all are links to the program, it is an
// error, and none is made.
func (dir toolFolder) install(program string) error {
	var missing []string
	for _, name := range fido2tools.Names() {
		link := filepath.Join(string(dir), name)
		target, err := os.Readlink(link)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, link)
		case err != nil || target != program:
			return failuref(exitError, "remove it first, or name another folder", "%s exists and is something else", link)
		}
	}
	for _, link := range missing {
		if err := os.Symlink(program, link); err != nil {
			return failuref(exitError, "", "install-tools: %w", err)
		}
	}
	return nil
}
