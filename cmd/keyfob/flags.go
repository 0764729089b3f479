package main

import (
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// flags are those of one command, and where the values of the common ones go.
type flags struct {
	*flag.FlagSet

	json     bool
	device   string
	timeout  time.Duration
	trace    string
	traceRaw bool
	pinFile  string
	pinFD    int

	accepts func(args []string) bool // what may follow the flags; nil: nothing
}

const (
	defaultTimeout = time.Minute
	noPINFD        = -1
)

func newFlags(name string) *flags {
	f := &flags{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError), pinFD: noPINFD}
	f.SetOutput(io.Discard) // errors and usage are shown by the caller
	f.Usage = func() {}
	return f
}

// forOutput adds the flags of a command that has results.
func (f *flags) forOutput() {
	f.BoolVar(&f.json, "json", false, "write the result as one line of JSON")
}

// forKey adds the flags of a command that uses a key.
func (f *flags) forKey() {
	f.forOutput()
	f.StringVar(&f.device, "device", "", "use the key at `PATH`: a node, unix:SOCKET, or virtual for the built-in key")
	f.DurationVar(&f.timeout, "timeout", defaultTimeout, "give up after `DURATION`; 0 means never")
	f.StringVar(&f.trace, "trace", "", "write what goes to the key and back to `FILE`, without what identifies the user")
	f.BoolVar(&f.traceRaw, "trace-raw", false, "write the trace with everything that the key sees")
}

// forPIN adds the flags of a command that may need a PIN.
func (f *flags) forPIN() {
	f.forKey()
	f.StringVar(&f.pinFile, "pin-file", "", "read the PIN from the first line of `FILE`")
	f.Func("pin-fd", "read the PIN from the first line of file descriptor `N`", f.setPINFD)
}

func (f *flags) setPINFD(value string) error {
	n, err := fmt.Sscanf(value+"\n", "%d\n", &f.pinFD)
	if n != 1 || err != nil || f.pinFD < 0 {
		return errors.New("not a file descriptor")
	}
	return nil
}

// usageError says what is wrong with a command line.
type usageError string

func (e usageError) Error() string { return string(e) }

func (f *flags) parse(args []string) error {
	if err := f.Parse(args); err != nil {
		return err
	}
	switch {
	case f.NArg() > 0 && (f.accepts == nil || !f.accepts(f.Args())):
		return usageError(fmt.Sprintf("unexpected argument %q", f.Arg(0)))
	case f.timeout < 0:
		return usageError("--timeout is negative")
	case f.traceRaw && f.trace == "":
		return usageError("--trace-raw is missing --trace FILE")
	case f.pinFile != "" && f.pinFD != noPINFD:
		return usageError("--pin-file and --pin-fd exclude each other")
	}
	return nil
}

// describe lists the flags and what they mean.
func (f *flags) describe(w io.Writer) {
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	f.VisitAll(func(fl *flag.Flag) {
		value, meaning := flag.UnquoteUsage(fl)
		fmt.Fprintf(columns, "  --%s\t%s%s\n", strings.TrimSpace(fl.Name+" "+value), meaning, defaultOf(fl))
	})
	columns.Flush()
}

func defaultOf(fl *flag.Flag) string {
	switch fl.DefValue {
	case "", "false":
		return ""
	}
	return fmt.Sprintf(" (default %s)", fl.DefValue)
}

// bytesVar adds a flag with a binary value in base64url.
func (f *flags) bytesVar(p *[]byte, name, usage string) {
	f.Func(name, usage, func(value string) (err error) {
		*p, err = decodeBase64(value)
		return err
	})
}

// bytesListVar adds a flag like bytesVar that may be given several times.
func (f *flags) bytesListVar(p *[][]byte, name, usage string) {
	f.Func(name, usage+"; may be repeated", func(value string) error {
		b, err := decodeBase64(value)
		*p = append(*p, b)
		return err
	})
}

var base64Alphabet = strings.NewReplacer("+", "-", "/", "_")

// decodeBase64 decodes base64url and base64, with padding or without.
func decodeBase64(s string) ([]byte, error) {
	b, err := base64.RawURLEncoding.DecodeString(base64Alphabet.Replace(strings.TrimRight(s, "=")))
	if err != nil || len(b) == 0 {
		return nil, errors.New("not base64url")
	}
	return b, nil
}
