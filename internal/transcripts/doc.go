// Package transcripts has no code. Its tests play every file of testdata/transcripts as a security key: message by
// message, and as the ceremonies that the messages belong to. A trace from a bug report becomes a test by putting it
// there.
//
//	go test ./internal/transcripts
//	go test ./internal/transcripts -update   # records those of the software key anew
package transcripts
