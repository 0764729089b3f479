package main

import (
	"context"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func versionCommand(inv *invocation) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the version of keyfob.",
		Args:  cobra.NoArgs,
		RunE: inv.run(func(context.Context) (output, error) {
			return record{
				{"version", version()},
				{"go", runtime.Version()},
				{"platform", platform},
			}, nil
		}),
	}
}

const platform = runtime.GOOS + "/" + runtime.GOARCH

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "(unknown)"
}
