package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// usageError says what is wrong with a command line.
type usageError string

func (e usageError) Error() string { return string(e) }

// wrongUsage tells what is wrong with a command line, and what it could be.
func wrongUsage(stderr io.Writer, cmd *cobra.Command, err error) int {
	fmt.Fprintf(stderr, "%s: %s\n\n%s", cmd.CommandPath(), printableLines(err.Error()), cmd.UsageString())
	return exitUsage
}

// printableLines is printable for text of several lines, such as cobra's suggestions.
func printableLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i, line := range lines {
		lines[i] = printable(strings.ReplaceAll(line, "\t", "  "))
	}
	return strings.Join(lines, "\n")
}

func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Show what keyfob does, or one of its commands.",
		RunE: func(cmd *cobra.Command, args []string) error {
			meant, rest, err := cmd.Root().Find(args)
			if err == nil && len(rest) > 0 {
				err = wantsCommand(meant, rest)
			}
			if err != nil {
				return err
			}
			return meant.Help()
		},
		ValidArgsFunction: completeCommand,
	}
}

func completeCommand(cmd *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
	meant, _, err := cmd.Root().Find(args)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	for _, c := range meant.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, cobra.CompletionWithDesc(c.Name(), c.Short))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// help is everything about a command.
func help(cmd *cobra.Command, _ []string) {
	w := cmd.OutOrStdout()
	text := cmd.Long
	if text == "" {
		text = cmd.Short
	}
	fmt.Fprintf(w, "%s\n", text)
	if !cmd.IsAdditionalHelpTopicCommand() {
		fmt.Fprintf(w, "\n%s", cmd.UsageString())
	}
}

// usage is how a command is called.
func usage(cmd *cobra.Command) error {
	w := cmd.OutOrStderr()
	fmt.Fprintf(w, "usage: %s\n", cmd.UseLine())
	commands(w, cmd)
	flags(w, "flags", cmd.LocalNonPersistentFlags())
	if !cmd.HasParent() || cmd.HasAvailableInheritedFlags() {
		flags(w, "flags of every command", cmd.Root().PersistentFlags())
	}
	if cmd.HasExample() {
		fmt.Fprintf(w, "\nexamples:\n%s\n", strings.TrimRight(cmd.Example, "\n"))
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(w, "\n\"keyfob help %s\" shows the flags of a command.\n", strings.TrimSpace(parents(cmd)+" COMMAND"))
	}
	return nil
}

// parents returns the words of a command's name that follow the program's.
func parents(cmd *cobra.Command) string {
	return strings.TrimSpace(strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()))
}

// commands lists those below a command, in their groups.
func commands(w io.Writer, cmd *cobra.Command) {
	groups := append([]*cobra.Group{}, cmd.Groups()...)
	for _, group := range append(groups, &cobra.Group{Title: "commands"}) {
		title := group.Title
		for _, c := range cmd.Commands() {
			if c.GroupID != group.ID || !(c.IsAvailableCommand() || c.IsAdditionalHelpTopicCommand()) {
				continue
			}
			if title != "" {
				fmt.Fprintf(w, "\n%s:\n", title)
				title = ""
			}
			fmt.Fprintf(w, "  %-*s  %s\n", c.NamePadding(), c.Name(), c.Short)
		}
	}
}

func flags(w io.Writer, title string, f *pflag.FlagSet) {
	if f.HasAvailableFlags() {
		fmt.Fprintf(w, "\n%s:\n%s", title, f.FlagUsagesWrapped(usageWidth))
	}
}

const usageWidth = 100 // columns; terminals of fewer wrap the lines themselves
