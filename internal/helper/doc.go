// Package helper lets a program that is not written in Go, its parent, run ceremonies: the parent starts keyfob once, sends
// requests as messages of JSON, and gets events, questions and results back. docs/helper-protocol.md specifies the messages.
//
//	server := &helper.Server{Version: "1.2.3"}
//	err := server.Serve(ctx, helper.Lines, os.Stdin, os.Stdout)
//
// Nothing goes to a key unless the whole request was valid. The key is free again whenever Serve returns: the parent went
// away, closed its end, or reads no longer what it is told.
package helper
