package main

import "github.com/spf13/cobra"

// exitStatusTopic is no command, but text for "keyfob help exit-status".
func exitStatusTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "exit-status",
		Short: "What the exit status of a command means.",
		Long: `Every command ends with one of these:

     0  it worked
     1  any other error
     2  wrong command line
     3  no such key, or it was removed
     4  no permission to use the key
     5  the key was not touched in time, or --timeout is over
     6  cancelled, by Ctrl-C for example
     7  a PIN is required: none is set, or there is neither a terminal nor --pin-file nor --pin-fd to get it from
     8  the PIN (or the fingerprint) is wrong, or no PIN that the key takes
     9  the PIN is locked until the key is plugged in again, or blocked until it is reset
    10  the key holds no matching credential, or already holds an excluded one
    11  the key does not support what was asked for`,
	}
}
