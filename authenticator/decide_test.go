package authenticator

import (
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
)

// insistence says when a key refuses a command because the user is not verified, whatever the platform wishes. A cell is
// T (true), F (false), - (absent), several of these, or * (all of them). The first line is the head.
const insistence = `
version  command   clientPin uv  alwaysUv makeCredUvNotRqd  insists

# CTAP 2.0, section 5.1: a key with a PIN wants pinAuth for makeCredential; it does not know the other options.
2.0      create    T         *   *        *                 yes
2.0      resident  T         *   *        *                 yes
2.0      create    F-        T   *        *                 yes
2.0      resident  F-        T   *        *                 yes
2.0      create    F-        F-  *        *                 no
2.0      resident  F-        F-  *        *                 no

# CTAP 2.3, section 6.1.2, step 6: alwaysUv.
2.1      create    *         *   T        *                 yes
2.1      resident  *         *   T        *                 yes
# Step 7: makeCredUvNotRqd lets a credential that is not resident pass.
2.1      create    *         *   F-       T                 no
# Step 8: a key that is protected by some form of user verification wants it for all others.
2.1      create    T         *   F-       F-                yes
2.1      create    F-        T   F-       F-                yes
2.1      create    F-        F-  F-       F-                no
2.1      resident  T         *   F-       *                 yes
2.1      resident  F-        T   F-       *                 yes
2.1      resident  F-        F-  F-       *                 no

# Section 6.2.2: alwaysUv, unless up is false. Nothing else makes an assertion want it.
*        get       *         *   T        *                 yes
*        get       *         *   F-       *                 no
*        silent    *         *   *        *                 no

# Sections 6.10.2 and 6.11: large blobs and the configuration of a key that is protected, or has alwaysUv.
*        blobs     *         *   T        *                 yes
*        blobs     T         *   F-       *                 yes
*        blobs     F-        T   F-       *                 yes
*        blobs     F-        F-  F-       *                 no
*        config    *         *   T        *                 yes
*        config    T         *   F-       *                 yes
*        config    F-        T   F-       *                 yes
*        config    F-        F-  F-       *                 no
# Section 6.7.1: enrolling is no different. (Managing credentials always wants a token: the wish is required.)
*        enroll    *         *   T        *                 yes
*        enroll    T         *   F-       *                 yes
*        enroll    F-        T   F-       *                 yes
*        enroll    F-        F-  F-       *                 no
`

// ways says how the user is verified, if at all: by the key itself where that is set up and the token may have the
// permission (CTAP 2.3, section 6.5.5.7.3), else by the PIN (section 6.5.5.7.2). Credentials know an option besides.
// The option grant is uvBioEnroll for enroll, uvAcfg for config, and means nothing for the others.
const ways = `
command   uv  pinUvAuthToken uvToken grant clientPin noMcGa  way

create    T   T              *       *     *         *       token
resident  T   T              *       *     *         *       token
get       T   T              *       *     *         *       token
silent    T   T              *       *     *         *       token
blobs     T   T              *       *     *         *       token
enroll    T   T              *       T     *         *       token
config    T   T              *       T     *         *       token

create    T   F-             *       *     *         *       option
resident  T   F-             *       *     *         *       option
get       T   F-             *       *     *         *       option
silent    T   F-             *       *     *         *       option

# CTAP 2.1-PRE has a token without permissions.
blobs     T   F-             T       *     *         *       token
enroll    T   F-             T       *     *         *       token
config    T   F-             T       *     *         *       token

create    F-  *              *       *     T         F-      PIN
create    F-  *              *       *     T         T       refused
create    F-  *              *       *     F         F-      noPIN
create    F-  *              *       *     F         T       impossible
create    F-  *              *       *     -         *       impossible
resident  F-  *              *       *     T         F-      PIN
resident  F-  *              *       *     T         T       refused
resident  F-  *              *       *     F         F-      noPIN
resident  F-  *              *       *     F         T       impossible
resident  F-  *              *       *     -         *       impossible
get       F-  *              *       *     T         F-      PIN
get       F-  *              *       *     T         T       refused
get       F-  *              *       *     F         F-      noPIN
get       F-  *              *       *     F         T       impossible
get       F-  *              *       *     -         *       impossible
silent    F-  *              *       *     T         F-      PIN
silent    F-  *              *       *     T         T       refused
silent    F-  *              *       *     F         F-      noPIN
silent    F-  *              *       *     F         T       impossible
silent    F-  *              *       *     -         *       impossible

blobs     T   F-             F-      *     T         *       PIN
blobs     T   F-             F-      *     F         *       noPIN
blobs     T   F-             F-      *     -         *       impossible
blobs     F-  *              *       *     T         *       PIN
blobs     F-  *              *       *     F         *       noPIN
blobs     F-  *              *       *     -         *       impossible
enroll    T   T              *       F-    T         *       PIN
enroll    T   T              *       F-    F         *       noPIN
enroll    T   T              *       F-    -         *       impossible
enroll    T   F-             F-      *     T         *       PIN
enroll    T   F-             F-      *     F         *       noPIN
enroll    T   F-             F-      *     -         *       impossible
enroll    F-  *              *       *     T         *       PIN
enroll    F-  *              *       *     F         *       noPIN
enroll    F-  *              *       *     -         *       impossible
config    T   T              *       F-    T         *       PIN
config    T   T              *       F-    F         *       noPIN
config    T   T              *       F-    -         *       impossible
config    T   F-             F-      *     T         *       PIN
config    T   F-             F-      *     F         *       noPIN
config    T   F-             F-      *     -         *       impossible
config    F-  *              *       *     T         *       PIN
config    F-  *              *       *     F         *       noPIN
config    F-  *              *       *     -         *       impossible
`

// decisions says what becomes of both and of the caller's wish.
const decisions = `
wish         insists  way         decision
*            yes      *           way
required     no       *           way
preferred    no       token       way
preferred    no       option      way
preferred    no       PIN         way
preferred    no       noPIN       none
preferred    no       impossible  none
preferred    no       refused     none
discouraged  no       *           none
`

// circumstances are what a decision depends on, by the heads of the tables.
type circumstances map[string]string

// look returns what a table says: exactly one line must match.
func look(t *testing.T, table decisionTable, c circumstances) (answer string) {
	t.Helper()
	matches := 0
	for _, line := range table.lines {
		if line.matches(table.head, c) {
			matches++
			answer = line[len(line)-1]
		}
	}
	require.Equal(t, 1, matches, "lines for %v", c)
	return answer
}

type decisionTable struct {
	head  []string
	lines []decisionLine
}

type decisionLine []string

func (l decisionLine) matches(head []string, c circumstances) bool {
	for i, cell := range l[:len(l)-1] {
		value := c[head[i]]
		isSet := strings.Trim(cell, "TF-") == ""
		if cell != "*" && cell != value && !(isSet && strings.Contains(cell, value)) {
			return false
		}
	}
	return true
}

func readTable(text string) (table decisionTable) {
	for line := range strings.Lines(text) {
		cells := strings.Fields(line)
		switch {
		case len(cells) == 0 || cells[0] == "#":
		case table.head == nil:
			table.head = cells
		default:
			table.lines = append(table.lines, cells)
		}
	}
	return table
}

// dimensions are all values of all that is read.
var dimensions = []struct {
	name   string
	values []string
}{
	{"version", []string{"2.0", "2.1"}},
	{"command", []string{"create", "resident", "get", "silent", "blobs", "config", "enroll"}},
	{"wish", []string{"discouraged", "preferred", "required"}},
	{"clientPin", []string{"T", "F", "-"}},
	{"uv", []string{"T", "F", "-"}},
	{"alwaysUv", []string{"T", "F", "-"}},
	{"makeCredUvNotRqd", []string{"T", "F", "-"}},
	{"noMcGa", []string{"T", "F", "-"}},
	{"pinUvAuthToken", []string{"T", "F", "-"}},
	{"uvToken", []string{"T", "-"}},
	{"grant", []string{"T", "F", "-"}},
}

// combinations are all.
func combinations() iter.Seq[circumstances] {
	return func(yield func(circumstances) bool) {
		c := circumstances{}
		var choose func(i int) bool
		choose = func(i int) bool {
			if i == len(dimensions) {
				return yield(c)
			}
			for _, c[dimensions[i].name] = range dimensions[i].values {
				if !choose(i + 1) {
					return false
				}
			}
			return true
		}
		choose(0)
	}
}

// key returns the info of such a key.
func (c circumstances) key() *ctap2.Info {
	info := &ctap2.Info{Versions: []string{"U2F_V2", "FIDO_2_0"}, Options: map[string]bool{}}
	if c["version"] == "2.1" {
		info.Versions = append(info.Versions, "FIDO_2_1")
	}
	names := map[string]string{
		"clientPin": "clientPin", "uv": "uv", "alwaysUv": "alwaysUv", "makeCredUvNotRqd": "makeCredUvNotRqd",
		"noMcGa": "noMcGaPermissionsWithClientPin", "pinUvAuthToken": "pinUvAuthToken", "uvToken": "uvToken",
	}
	names["grant"] = map[string]string{"enroll": "uvBioEnroll", "config": "uvAcfg"}[c["command"]]
	for name, option := range names {
		if option != "" && c[name] != "-" {
			info.Options[option] = c[name] == "T"
		}
	}
	return info
}

func (c circumstances) question() uvQuestion {
	return uvQuestion{
		permissions: map[string]ctap2.Permission{
			"create": ctap2.PermissionMakeCredential, "resident": ctap2.PermissionMakeCredential,
			"get": ctap2.PermissionGetAssertion, "silent": ctap2.PermissionGetAssertion,
			"blobs": ctap2.PermissionLargeBlobWrite, "config": ctap2.PermissionAuthenticatorConfig,
			"enroll": ctap2.PermissionBioEnrollment,
		}[c["command"]],
		wish: map[string]UserVerification{
			"discouraged": UVDiscouraged, "preferred": UVPreferred, "required": UVRequired,
		}[c["wish"]],
		resident: c["command"] == "resident",
		silent:   c["command"] == "silent",
	}
}

var methodNames = map[string]uvMethod{
	"none": uvNone, "token": uvToken, "option": uvOption, "PIN": uvPIN, "noPIN": uvNoPIN,
	"impossible": uvImpossible, "refused": uvRefused,
}

// Every combination of what the decision reads, against the tables above. What "insists" and "way" say depends on few of
// the dimensions, so each is looked up but once.
func TestDecideUV(t *testing.T) {
	insists, way, decision := lookup(t, insistence), lookup(t, ways), lookup(t, decisions)
	count := 0
	for c := range combinations() {
		c["insists"], c["way"] = insists(c), way(c)
		want := decision(c)
		if want == "way" {
			want = c["way"]
		}
		method, known := methodNames[want]
		require.True(t, known, want)
		if got := decideUV(c.key(), c.question()); got != method {
			t.Fatalf("decided %d instead of %s (%d): %v", got, want, method, c)
		}
		count++
	}
	require.Equal(t, 2*7*3*3*3*3*3*3*3*3*2, count)
}

// lookup returns look for one table, remembering what it found.
func lookup(t *testing.T, text string) func(circumstances) string {
	table, found := readTable(text), map[string]string{}
	return func(c circumstances) string {
		var key strings.Builder
		for _, name := range table.head[:len(table.head)-1] {
			fmt.Fprint(&key, c[name], " ")
		}
		answer, known := found[key.String()]
		if !known {
			answer = look(t, table, c)
			found[key.String()] = answer
		}
		return answer
	}
}

// More than one permission: what holds for each holds for all.
func TestDecideUVForSeveralPermissions(t *testing.T) {
	const both = ctap2.PermissionMakeCredential | ctap2.PermissionGetAssertion
	for _, tc := range []struct {
		name        string
		options     map[string]bool
		permissions ctap2.Permission
		want        uvMethod
	}{
		{"a fingerprint that may not configure", map[string]bool{"uv": true, "clientPin": true, "pinUvAuthToken": true},
			ctap2.PermissionAuthenticatorConfig | ctap2.PermissionLargeBlobWrite, uvPIN},
		{"a PIN that is not for credentials", map[string]bool{"clientPin": true, "noMcGaPermissionsWithClientPin": true},
			ctap2.PermissionGetAssertion | ctap2.PermissionLargeBlobWrite, uvRefused},
		{"an option that is for credentials only", map[string]bool{"uv": true, "clientPin": true},
			ctap2.PermissionGetAssertion | ctap2.PermissionLargeBlobWrite, uvPIN},
		{"an option for both", map[string]bool{"uv": true}, both, uvOption},
		{"credential management", map[string]bool{"uv": true, "clientPin": true, "pinUvAuthToken": true},
			ctap2.PermissionCredentialManagement, uvToken},
	} {
		info := &ctap2.Info{Versions: []string{"FIDO_2_1"}, Options: tc.options}
		require.Equal(t, tc.want, decideUV(info, uvQuestion{permissions: tc.permissions, wish: UVRequired}), tc.name)
	}
}

// What a key of a later version, or of the preview of 2.1, lists, counts.
func TestVersionsAfter20(t *testing.T) {
	for versions, want := range map[string]bool{
		"FIDO_2_0": true, "U2F_V2 FIDO_2_0": true, "FIDO_2_0 FIDO_2_1_PRE": false, "FIDO_2_0 FIDO_2_1": false,
		"FIDO_2_1": false, "FIDO_2_0 FIDO_2_2": false, "FIDO_2_3": false, "FIDO_2_0 FIDO_9": false, "U2F_V2": false,
	} {
		require.Equal(t, want, isCTAP20(&ctap2.Info{Versions: strings.Fields(versions)}), versions)
	}
}
