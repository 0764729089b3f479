package main

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// thing is something with an ID.
type thing string

func (i thing) identity() binary {
	b, err := base64.RawURLEncoding.DecodeString(string(i))
	if err != nil {
		panic(err)
	}
	return b
}

func (i thing) String() string { return "the thing " + string(i) }

func TestPick(t *testing.T) {
	t.Parallel()
	all := []thing{"AAAA", "AAAAAAAA", "AAAAAAAAAAAB", "BAAA", "B-AA", "C_AA"}
	for meant, want := range map[string]thing{
		"AAAA": "AAAA", // the whole ID, though others begin so
		"BA":   "BAAA",
		"C":    "C_AA", "B-A": "B-AA", "AAAAAAAAA": "AAAAAAAAAAAB", "AAAAAAAAAAAB": "AAAAAAAAAAAB",
	} {
		one, err := pick(all, meant, "thing", "keyfob things")
		require.NoError(t, err, meant)
		require.Equal(t, want, one, meant)
	}
	for meant, says := range map[string]string{
		"D":             "the key has no thing with the ID D",
		"AAAAAAAAAAABA": "the key has no thing with the ID AAAAAAAAAAABA",
		"B":             "B begins the IDs of 2: BAAA (the thing BAAA), B-AA (the thing B-AA)",
		"AAAAA":         "AAAAA begins the IDs of 2: AAAAAAAA (the thing AAAAAAAA), AAAAAAAAA (the thing AAAAAAAAAAAB)",
	} {
		_, err := pick(all, meant, "thing", "keyfob things")
		require.EqualError(t, err, says)
	}
	_, err := pick(all, "D", "thing", "keyfob things")
	require.Equal(t, advice{exitNoMatch, `"keyfob things" shows them`}, adviceOn(err))
	_, err = pick(all, "B", "thing", "keyfob things")
	require.Equal(t, exitUsage, adviceOn(err).status)
}

func TestCandidatesAreNotTooMany(t *testing.T) {
	t.Parallel()
	var all []thing
	for i := range 2 * maxCandidates {
		all = append(all, thing(fmt.Sprintf("AA%02d", i)))
	}
	_, err := pick(all, "AA", "thing", "keyfob things")
	require.ErrorContains(t, err, "begins the IDs of 16: AA00 (the thing AA00), ")
	require.True(t, strings.HasSuffix(err.Error(), "AA07 (the thing AA07), ..."), "%v", err)
}

func TestIDLength(t *testing.T) {
	t.Parallel()
	require.Equal(t, 8, idLength([]thing{}))
	require.Equal(t, 8, idLength([]thing{"AAAAAAAAAAAA", "BAAAAAAAAAAA"}))
	require.Equal(t, 9, idLength([]thing{"AAAAAAAAAAAA", "AAAAAAAABAAA"}))
	require.Equal(t, 9, idLength([]thing{"AAAAAAAA", "AAAAAAAABAAA"}))
	require.Equal(t, 12, idLength([]thing{"AAAAAAAAAAAA", "AAAAAAAAAAAA"}), "a key that lies")
}

func TestMeantID(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{
		"A": "A", "-_-_": "-_-_", "+/+/": "-_-_", "+_AA==": "-_AA", "09azAZ": "09azAZ",
	} {
		id, err := meantID(arg)
		require.NoError(t, err, arg)
		require.Equal(t, want, id)
	}
	for _, arg := range []string{"", "=", "A=A", "A A", "é", "A\n", "%41"} {
		_, err := meantID(arg)
		require.EqualError(t, err, fmt.Sprintf("%q is not base64url", arg))
	}
}

// An ID is not taken for a flag, nor a flag or its value for an ID.
func TestIDsThatBeginWithADash(t *testing.T) {
	t.Parallel()
	const long = "-AAAAAAAAAAAAAAAAAAAAAA"
	for line, want := range map[string]string{
		"passkeys show -AAAAAAA":                        "passkeys show +AAAAAAA",
		"passkeys show --json -AAA --pin-file -AAA":     "passkeys show --json +AAA --pin-file -AAA",
		"--device -AAA passkeys show -AAA":              "passkeys show --device -AAA +AAA",
		"passkeys show -- -AAAAAAA":                     "passkeys show -- -AAAAAAA",
		"passkeys show -hAA":                            "passkeys show -hAA",
		"passkeys show -h" + long:                       "passkeys show +h" + long,
		"passkeys show -" + long:                        "passkeys show +" + long,
		"passkeys show --jsno":                          "passkeys show --jsno",
		"passkeys delete A -AA A -BB --yes":             "passkeys delete A +AA A +BB --yes",
		"passkeys rename A --name " + long:              "passkeys rename A --name " + long,
		"fingerprints rename -AA -BB":                   "fingerprints rename +AA -BB",
		"fingerprints rename A -BB":                     "fingerprints rename A -BB",
		"fingerprints enroll --name x":                  "fingerprints enroll --name x",
		"blobs get -AA -o -BBBB":                        "blobs get +AA -o -BBBB",
		"blobs get -oBB -AA":                            "blobs get -oBB +AA",
		"blobs get --output=-BBBB -AA":                  "blobs get --output=-BBBB +AA",
		"blobs set -AA -":                               "blobs set +AA -",
		"authenticate --rp example.org --credential -A": "authenticate --rp example.org --credential -A",
		"frobnicate -AAAAAAA":                           "frobnicate -AAAAAAA",
		"":                                              "",
	} {
		args := strings.Fields(line)
		before := slices.Clone(args)
		got := withoutDashes(rootCommand(newInvocation(keys())), args)
		require.Equal(t, want, strings.Join(got, " "), line)
		require.Equal(t, before, args, "it is the caller's")
	}
}
