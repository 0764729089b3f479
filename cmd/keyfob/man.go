//go:build man

package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// With the build tag man, which no release has, keyfob also writes its own manual.
func init() { more = append(more, manCommand) }

func manCommand(inv *invocation) *cobra.Command {
	dir := ""
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "Write a manual page for each command.",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		PreRun: func(_ *cobra.Command, args []string) { dir = args[0] },
		RunE:   inv.run(func(context.Context) (output, error) { return nil, writeManual(rootCommand(inv), dir) }),
	}
}

// writeManual makes pages of today, or of the time in SOURCE_DATE_EPOCH.
func writeManual(root *cobra.Command, dir string) error {
	root.Long = root.Short + "\n\n" + exitStatusTopic().Long // topics have no page
	root.DisableAutoGenTag = true
	return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Manual: "keyfob", Source: "keyfob"}, dir)
}
