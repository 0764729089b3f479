package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"
)

const seeHelp = `"keyfob help COMMAND" shows the flags of a command.`

// asksForHelp recognizes the ways of asking for help on all of keyfob, or on the commands whose name begins with the
// returned one. A command with -h among its flags is not one of them.
func asksForHelp(args []string) (name string, ok bool) {
	if len(args) == 0 {
		return "", false
	}
	if args[0] == "help" {
		words := slices.DeleteFunc(slices.Clone(args[1:]), isHelpFlag)
		return strings.Join(words, " "), true
	}
	i := slices.IndexFunc(args, isHelpFlag)
	if i == -1 {
		return "", false
	}
	name = strings.Join(args[:i], " ")
	_, _, isCommand := findCommand(args)
	return name, !isCommand
}

func isHelpFlag(arg string) bool { return slices.Contains([]string{"-h", "-help", "--help"}, arg) }

// named returns the commands that are called name, or whose name begins with that word.
func named(name string) []command {
	return slices.DeleteFunc(commands(), func(c command) bool {
		return name != "" && c.name != name && !strings.HasPrefix(c.name, name+" ")
	})
}

func help(sys system, name string) int {
	found := named(name)
	switch {
	case len(found) == 0:
		return unknownCommand(sys, strings.Fields(name))
	case len(found) == 1 && found[0].name == name:
		f, _ := found[0].flags()
		found[0].usage(sys.stdout, f)
	default:
		overview(sys.stdout, found)
	}
	return exitOK
}

// unknownCommand answers a command line that names no command, or only the first word of some.
func unknownCommand(sys system, args []string) int {
	found := commands()
	if len(args) > 0 {
		if family := named(args[0]); len(family) > 0 {
			found = family
		} else {
			fmt.Fprintf(sys.stderr, "keyfob: there is no command %q\n\n", args[0])
		}
	}
	overview(sys.stderr, found)
	return exitUsage
}

func overview(w io.Writer, list []command) {
	fmt.Fprint(w, "usage: keyfob COMMAND [flags]\n\n")
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range list {
		fmt.Fprintf(columns, "  %s\t%s\n", c.name, c.help)
	}
	columns.Flush()
	fmt.Fprintf(w, "\n%s\n", seeHelp)
}

// usage shows everything about one command.
func (c command) usage(w io.Writer, f *flags) {
	words := []string{"usage: keyfob", c.name}
	if c.args != "" {
		words = append(words, c.args)
	}
	flagged := false
	f.VisitAll(func(*flag.Flag) { flagged = true })
	if flagged {
		words = append(words, "[flags]")
	}
	fmt.Fprintf(w, "%s\n\n%s\n", strings.Join(words, " "), c.help)
	if flagged {
		fmt.Fprintln(w)
		f.describe(w)
	}
}

func wrongUsage(sys system, c command, f *flags, err error) int {
	fmt.Fprintf(sys.stderr, "keyfob %s: %s\n\n", c.name, printable(err.Error()))
	c.usage(sys.stderr, f)
	return exitUsage
}

func defineVersion(f *flags) action {
	f.forOutput()
	return func(context.Context, *invocation) (output, error) {
		return record{
			{"version", version()},
			{"go", runtime.Version()},
			{"platform", platform},
		}, nil
	}
}

const platform = runtime.GOOS + "/" + runtime.GOARCH

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "(unknown)"
}
