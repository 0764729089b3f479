//go:build !unix

package main

// inherited reports whether a file descriptor was open before the process started: nothing tells here.
func inherited(int) bool { return true }
