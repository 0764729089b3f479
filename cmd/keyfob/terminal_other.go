//go:build !windows

package main

import "os"

// obeysSequences reports whether a terminal obeys escape sequences.
func obeysSequences(*os.File) bool { return os.Getenv("TERM") != "dumb" }
