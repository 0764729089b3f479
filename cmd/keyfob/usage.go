package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// usageError says what is wrong with a command line.
type usageError string

func (e usageError) Error() string { return string(e) }

const errNoCommand usageError = "a command is missing"

// wrongUsage tells what is wrong with a command line, and where to read what it could be.
func wrongUsage(stderr io.Writer, cmd *cobra.Command, err error) int {
	fmt.Fprintf(stderr, "%s: %s\n\n", cmd.CommandPath(), printableLines(err.Error()))
	if err == errNoCommand {
		fmt.Fprint(stderr, cmd.UsageString())
		return exitUsage
	}
	fmt.Fprintf(stderr, "usage: %s\n%q tells more.\n", cmd.UseLine(), strings.TrimSpace("keyfob help "+parents(cmd)))
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
func (inv *invocation) help(cmd *cobra.Command, _ []string) {
	w := cmd.OutOrStdout()
	fmt.Fprintln(w, reflow(cmp.Or(cmd.Long, cmd.Short), inv.helpWidth()))
	if !cmd.IsAdditionalHelpTopicCommand() {
		fmt.Fprintf(w, "\n%s", cmd.UsageString())
	}
}

const mostHelpWidth = 100 // columns, beyond which lines are hard to read

// helpWidth is for help and for what is wrong with a command line, of which one at most is on the terminal.
func (inv *invocation) helpWidth() int {
	width := cmp.Or(terminalWidth(inv.stdout), terminalWidth(inv.display.w), mostHelpWidth)
	return min(width, mostHelpWidth)
}

// reflow breaks paragraphs where lines end. Those with a line that begins with a space stay as they are.
func reflow(text string, width int) string {
	paragraphs := strings.Split(text, "\n\n")
	for i, p := range paragraphs {
		if !strings.Contains("\n"+p, "\n ") {
			paragraphs[i] = wrap(strings.SplitAfter(strings.ReplaceAll(p, "\n", " "), " "), 0, width)
		}
	}
	return strings.Join(paragraphs, "\n\n")
}

// usage is how a command is called.
func (inv *invocation) usage(cmd *cobra.Command) error {
	w, width := cmd.OutOrStderr(), inv.helpWidth()
	fmt.Fprintf(w, "usage: %s\n", cmd.UseLine())
	commands(w, cmd, width)
	flags(w, "flags", cmd.LocalNonPersistentFlags(), width)
	if !cmd.HasParent() || cmd.HasAvailableInheritedFlags() {
		flags(w, "flags of every command", cmd.Root().PersistentFlags(), width)
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
func commands(w io.Writer, cmd *cobra.Command, width int) {
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
			column := c.NamePadding() + len("    ")
			fmt.Fprintf(w, "  %-*s  %s\n", c.NamePadding(), c.Name(), wrap(strings.SplitAfter(c.Short, " "), column, width))
		}
	}
}

func flags(w io.Writer, title string, f *pflag.FlagSet, width int) {
	if f.HasAvailableFlags() {
		fmt.Fprintf(w, "\n%s:\n%s", title, f.FlagUsagesWrapped(width))
	}
}
