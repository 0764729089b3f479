package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// The annotation of commands with IDs for arguments, and its values.
const (
	argumentsAre = "arguments"
	allIDs       = "all IDs"
	firstID      = "an ID first"
)

// wholeID is the length from on which an argument is the ID of a passkey, and no flag that is spelled wrong.
const wholeID = 22

// withoutDashes returns a command line with each ID that begins with "-", as one of 64 does, in base64's other alphabet,
// where it begins with "+": scripts would fail now and then if it were taken for a flag.
func withoutDashes(root *cobra.Command, args []string) []string {
	cmd, rest, err := root.Find(args)
	kind := ""
	if err == nil {
		kind = cmd.Annotations[argumentsAre]
	}
	if kind == "" {
		return args
	}
	rest = slices.Clone(rest)
	for i := 0; i < len(rest) && rest[i] != "--"; i++ {
		switch {
		case hasValueBehind(cmd, rest[i]):
			i++
		case isDashedID(cmd, rest[i]):
			rest[i] = "+" + rest[i][1:]
			fallthrough
		case !strings.HasPrefix(rest[i], "-"):
			if kind == firstID {
				i = len(rest)
			}
		}
	}
	return append(strings.Fields(cmd.CommandPath())[1:], rest...)
}

// hasValueBehind tells whether an argument is a flag whose value is the next one.
func hasValueBehind(cmd *cobra.Command, arg string) bool {
	name, long := strings.CutPrefix(arg, "--")
	flag := cmd.Flag(name)
	if !long {
		name = strings.TrimPrefix(arg, "-")
		if len(arg) != 2 || name == arg {
			return false
		}
		flag = cmd.Flags().ShorthandLookup(name)
	}
	return flag != nil && flag.NoOptDefVal == ""
}

// isDashedID tells whether an argument that begins with "-" is an ID.
func isDashedID(cmd *cobra.Command, arg string) bool {
	if !strings.HasPrefix(arg, "-") || len(arg) < 3 || strings.Trim(arg, base64URL) != "" {
		return false
	}
	isFlag := strings.HasPrefix(arg, "--") || arg[1] == 'h' || cmd.Flags().ShorthandLookup(arg[1:2]) != nil
	return len(arg) >= wholeID || !isFlag
}
