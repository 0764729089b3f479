// Package fido2tools is fido2-token, fido2-cred and fido2-assert of libfido2, for the scripts that call them: the same
// command lines, lines on standard input and output, prompts, messages, exit statuses and file modes. It stands on
// packages ctap2 and ctaphid, and sends what libfido2 sends where that decides how a command ends.
//
// It is 1.17 of the tools; [System].Old makes it 1.12, which Debian 12 has, where a script could tell the two apart by
// more than what was added. Its usage text is its own, and -d prints what the tools print, not what libfido2 does.
package fido2tools

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/keyfob-go/keyfob/hid"
)

// System is what a tool finds around it.
type System struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Old            bool // be version 1.12

	// List and Open are where the keys come from: [hid.List], and [hid.Open] as a stream of reports.
	List func() ([]hid.Info, error)
	Open func(path string) (io.ReadWriteCloser, error)

	// Terminal opens the terminal that asks for PINs. Where it fails, standard input has them.
	Terminal func() (*os.File, error)
}

const (
	exitOK          = 0
	exitFailure     = 1
	exitInterrupted = 128 + 2 // what a shell makes of SIGINT
)

// tools are the programs by their names.
var tools = map[string]func(*tool, []string) error{
	"fido2-token":  (*tool).token,
	"fido2-cred":   (*tool).cred,
	"fido2-assert": (*tool).assert,
}

// Names returns the names of the tools.
func Names() []string { return []string{"fido2-token", "fido2-cred", "fido2-assert"} }

// Main runs the tool with that name, one of [Names], and returns its exit status: 0 or 1, or 130 when ctx ended it. The
// arguments come without the name.
func Main(ctx context.Context, name string, args []string, sys System) int {
	t := &tool{System: sys, ctx: ctx, name: name, out: bufio.NewWriter(sys.Stdout)}
	err := tools[name](t, args)
	if flushErr := t.out.Flush(); err == nil && flushErr != nil {
		err = fmt.Errorf("output error: %w", flushErr)
	}
	t.explain(err)
	switch {
	case err == nil:
		return exitOK
	case ctx.Err() != nil:
		return exitInterrupted
	}
	return exitFailure
}

// tool is one run of a tool. Its context is that of the whole process, so it may keep it.
type tool struct {
	System
	ctx  context.Context
	name string
	out  *bufio.Writer // standard output
}

// errUsage ends a run whose command line is wrong.
var errUsage = errors.New("usage")

// bareError is printed without the name of the tool in front.
type bareError string

func (e bareError) Error() string { return string(e) }

func (t *tool) explain(err error) {
	var bare bareError
	switch {
	case err == nil:
	case errors.Is(err, errUsage):
		fmt.Fprint(t.Stderr, usage(t.name, t.Old))
	case errors.As(err, &bare):
		fmt.Fprintln(t.Stderr, bare)
	default:
		t.warn("%v", err)
	}
}

// warn prints a message as C's warnx does.
func (t *tool) warn(format string, args ...any) {
	fmt.Fprintf(t.Stderr, t.name+": "+format+"\n", args...)
}
