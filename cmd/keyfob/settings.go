package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// settings are the values of the flags that commands have in common.
type settings struct {
	json     bool
	color    colorMode
	device   string
	timeout  time.Duration
	trace    string
	traceRaw bool
	pinFile  string
	pinFD    int
	yes      bool
}

const (
	defaultTimeout = time.Minute
	noPINFD        = -1
)

// forAll adds the flags that every command has.
func (inv *invocation) forAll(root *cobra.Command) {
	f := root.PersistentFlags()
	f.BoolP("help", "h", false, "show what the command does, and its flags")
	f.BoolVar(&inv.json, "json", false, "write the result as one line of JSON")
	f.Var(&inv.color, "color", "use colours `WHEN`: auto (if it is a terminal, and NO_COLOR is not set), always, never")
	root.RegisterFlagCompletionFunc("color", cobra.FixedCompletions(colorModes, cobra.ShellCompDirectiveNoFileComp))
}

// forKey adds the flags of a command that uses a key.
func (inv *invocation) forKey(cmd *cobra.Command) {
	f := cmd.Flags()
	f.DurationVar(&inv.timeout, "timeout", defaultTimeout, "give up after `DURATION`; 0 means never")
	f.StringVar(&inv.trace, "trace", "", "write what goes to the key and back to `FILE`, without what identifies the user")
	f.BoolVar(&inv.traceRaw, "trace-raw", false, "write the trace with everything that the key sees")
	inv.forDevice(cmd, "use the key at `PATH`: a node, unix:SOCKET, or virtual for the built-in key")
}

// forDevice adds the flag that names a key.
func (inv *invocation) forDevice(cmd *cobra.Command, usage string) {
	cmd.Flags().StringVar(&inv.device, "device", "", usage)
	cmd.RegisterFlagCompletionFunc("device", inv.completeDevice)
}

// completeDevice offers the keys that are plugged in.
func (inv *invocation) completeDevice(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	found := []string{cobra.CompletionWithDesc(virtualDevice, "the built-in virtual key")}
	keys, _ := inv.list()
	for _, key := range keys {
		found = append(found, cobra.CompletionWithDesc(key.Path, printable(strings.TrimSpace(key.Manufacturer+" "+key.Product))))
	}
	return found, cobra.ShellCompDirectiveDefault // sockets are files
}

// forPIN adds the flags of a command that may need a PIN.
func (inv *invocation) forPIN(cmd *cobra.Command) {
	inv.forKey(cmd)
	inv.forGivenPIN(cmd)
}

// forGivenPIN adds the flags that say where to read a PIN.
func (inv *invocation) forGivenPIN(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&inv.pinFile, "pin-file", "", "read the PIN from the first line of `FILE`")
	f.Func("pin-fd", "read the PIN from the first line of file descriptor `N`", inv.setPINFD)
}

func (inv *invocation) setPINFD(value string) error {
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return errors.New("not a file descriptor")
	}
	inv.pinFD = int(n)
	return nil
}

// forDestruction adds the flag of a command that asks [invocation.confirm] first.
func (inv *invocation) forDestruction(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&inv.yes, "yes", false, "do not ask whether that is meant")
}

// checkSettings finds what is wrong with the flags that commands have in common.
func (inv *invocation) checkSettings(cmd *cobra.Command) error {
	inv.display.color = inv.color.on(inv.display.w)
	if err := checkText(cmd.Flags()); err != nil {
		return err
	}
	switch {
	case inv.timeout < 0:
		return usageError("--timeout is negative")
	case inv.traceRaw && inv.trace == "":
		return usageError("--trace-raw is missing --trace FILE")
	case inv.pinFile != "" && inv.pinFD != noPINFD:
		return usageError("--pin-file and --pin-fd exclude each other")
	case inv.pinFD != noPINFD && !inherited(inv.pinFD):
		return usageError(fmt.Sprintf("--pin-fd %d is not open", inv.pinFD))
	}
	return nil
}

// neverEmpty are flags for which nothing is no value: a script whose variable is not set must not use, or reset, whatever
// key is plugged in.
var neverEmpty = []string{"device", "pin-file", "trace", "log", "state", "unix", "rp"}

// asText are flags whose values go to the key as text, which it takes in UTF-8 only.
var asText = []string{"rp", "user", "name", "display-name"}

// checkText finds flags without a value that must have one, and text that is none.
func checkText(f *pflag.FlagSet) error {
	for _, name := range neverEmpty {
		if f.Changed(name) && slices.Contains(valuesOf(f.Lookup(name).Value), "") {
			return usageError(fmt.Sprintf("--%s is empty", name))
		}
	}
	for _, name := range asText {
		if f.Changed(name) && !utf8.ValidString(f.Lookup(name).Value.String()) {
			return usageError(fmt.Sprintf("--%s is not UTF-8", name))
		}
	}
	return nil
}

// valuesOf returns what a flag was given, each time if it may be repeated.
func valuesOf(v pflag.Value) []string {
	if repeated, ok := v.(pflag.SliceValue); ok {
		return repeated.GetSlice()
	}
	return []string{v.String()}
}

// required makes flags that a command cannot do without.
func required(cmd *cobra.Command, flags ...string) {
	for _, name := range flags {
		cmd.MarkFlagRequired(name)
	}
}

// bytesVar adds a flag with a binary value in base64url.
func bytesVar(f *pflag.FlagSet, p *[]byte, name, usage string) {
	f.Func(name, usage, func(value string) (err error) {
		*p, err = decodeBase64(value)
		return err
	})
}

// bytesListVar adds a flag like bytesVar that may be given several times.
func bytesListVar(f *pflag.FlagSet, p *[][]byte, name, usage string) {
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

// colorMode is the value of --color: auto, which is the zero value, always, or never.
type colorMode int

const (
	colorAuto colorMode = iota
	colorAlways
	colorNever
)

var colorModes = []string{"auto", "always", "never"}

// String returns what stands on the command line.
func (m *colorMode) String() string { return colorModes[*m] }

// Type is what the flag's value is called.
func (m *colorMode) Type() string { return "WHEN" }

// Set implements [pflag.Value].
func (m *colorMode) Set(value string) error {
	for i, name := range colorModes {
		if value == name {
			*m = colorMode(i)
			return nil
		}
	}
	return fmt.Errorf("not one of %s", strings.Join(colorModes, ", "))
}
