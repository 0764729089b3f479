package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// identified is something on a key that command lines call by its ID.
type identified interface {
	identity() binary
	String() string // for people: printable, and of some length
}

// meantID returns an argument that is an ID in base64url, or the beginning of one.
func meantID(arg string) (string, error) {
	id := strings.TrimRight(base64Alphabet.Replace(arg), "=")
	if id == "" || strings.Trim(id, base64URL) != "" {
		return "", usageError(fmt.Sprintf("%q is not base64url", arg))
	}
	return id, nil
}

const base64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// pick returns the one that is meant: the one with that ID, or the only one whose ID begins so. kind is what they are
// called, and list the command that shows them.
func pick[T identified](all []T, meant, kind, list string) (one T, err error) {
	var found []T
	for _, t := range all {
		id := t.identity().String()
		if id == meant {
			return t, nil
		}
		if strings.HasPrefix(id, meant) {
			found = append(found, t)
		}
	}
	switch len(found) {
	case 0:
		return one, failuref(exitNoMatch, fmt.Sprintf("%q shows them", list), "the key has no %s with the ID %s", kind, meant)
	case 1:
		return found[0], nil
	}
	return one, failuref(exitUsage, "give more of the ID", "%s begins the IDs of %d: %s", meant, len(found), candidates(found))
}

const maxCandidates = 8

// candidates names things with what tells their IDs apart.
func candidates[T identified](all []T) string {
	length := idLength(all)
	var names words
	for _, t := range all[:min(len(all), maxCandidates)] {
		names = append(names, fmt.Sprintf("%s (%v)", t.identity().begin(length), t))
	}
	if len(all) > maxCandidates {
		names = append(names, "...")
	}
	return names.String()
}

const leastIDLength = 8 // characters

// idLength returns how many characters of their IDs tell things apart.
func idLength[T identified](all []T) int {
	for length := leastIDLength; ; length++ {
		seen, longer := map[string]bool{}, false
		for _, t := range all {
			seen[t.identity().begin(length)] = true
			longer = longer || len(t.identity().String()) > length
		}
		if len(seen) == len(all) || !longer {
			return length
		}
	}
}

// begin returns the first characters of base64url.
func (b binary) begin(characters int) string {
	text := b.String()
	return text[:min(len(text), characters)]
}

// wantsID makes the first argument of a command an ID, whatever the others are, which count checks.
func wantsID(cmd *cobra.Command, meant *string, count cobra.PositionalArgs) {
	cmd.Annotations = map[string]string{argumentsAre: firstID}
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	cmd.Args = func(cmd *cobra.Command, args []string) (err error) {
		if err := count(cmd, args); err != nil || len(args) == 0 {
			return err
		}
		*meant, err = meantID(args[0])
		return err
	}
}

// wantsIDs makes all arguments of a command IDs, of which there must be one.
func wantsIDs(cmd *cobra.Command, meant *[]string) {
	cmd.Annotations = map[string]string{argumentsAre: allIDs}
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := cobra.MinimumNArgs(1)(cmd, args); err != nil {
			return err
		}
		for _, arg := range args {
			id, err := meantID(arg)
			if err != nil {
				return err
			}
			*meant = append(*meant, id)
		}
		return nil
	}
}
