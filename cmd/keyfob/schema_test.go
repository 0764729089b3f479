package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// schema is what docs/cli-json.md says of a command's JSON: the types of its members, by their paths.
type schema struct {
	members map[string]string // "assertions[].signature": "base64url"
	free    bool              // another document has it
	example string
}

// schemas are those of all commands, and which of them were held to it.
type schemas struct {
	of map[string]schema // by the command's name: "keyfob list"

	mu   sync.Mutex
	held map[string]bool
}

var (
	sections    = regexp.MustCompile("(?m)^## (`keyfob .*)\n((?:[^#\n].*\n|\n)+)")
	quoted      = regexp.MustCompile("`([^`]+)`")
	memberRows  = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^|]+) \\|")
	exampleText = regexp.MustCompile("(?s)```json\n(.*?)\n```")
)

func readSchemas(t testing.TB) *schemas {
	t.Helper()
	doc, err := os.ReadFile("../../docs/cli-json.md")
	require.NoError(t, err)
	all := &schemas{of: map[string]schema{}, held: map[string]bool{}}
	for _, section := range sections.FindAllStringSubmatch(string(doc), -1) {
		s := schema{members: map[string]string{}, free: !strings.Contains(section[2], "| member |")}
		for _, row := range memberRows.FindAllStringSubmatch(section[2], -1) {
			s.members[row[1]] = row[2]
		}
		if example := exampleText.FindStringSubmatch(section[2]); example != nil {
			s.example = example[1]
		}
		for _, name := range quoted.FindAllStringSubmatch(section[1], -1) {
			all.of[name[1]] = s
		}
	}
	return all
}

// hold finds what is wrong with the JSON that a command line wrote.
func (all *schemas) hold(root *cobra.Command, args []string, text string) error {
	cmd, _, err := root.Find(args)
	if err != nil {
		return err
	}
	s, documented := all.of[cmd.CommandPath()]
	if !documented {
		return fmt.Errorf("docs/cli-json.md has no section `%s`", cmd.CommandPath())
	}
	all.mu.Lock()
	all.held[cmd.CommandPath()] = true
	all.mu.Unlock()
	return s.check(text)
}

func (s schema) check(text string) error {
	if s.free {
		return nil
	}
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		return err
	}
	return s.checkAt("", value)
}

// checkAt finds what is wrong with the value at a path.
func (s schema) checkAt(path string, value any) error {
	switch v := value.(type) {
	case map[string]any:
		return s.checkObject(path, v)
	case []any:
		for _, element := range v {
			if err := s.checkAt(path+"[]", element); err != nil {
				return err
			}
		}
		return nil
	}
	want, known := s.members[path]
	if !known {
		return fmt.Errorf("%s is not documented", path)
	}
	kinds, _, _ := strings.Cut(want, ",")
	if !slices.ContainsFunc(strings.Split(kinds, " or "), func(kind string) bool { return isKind(kind, value) }) {
		return fmt.Errorf("%s is %v, want %s", path, value, want)
	}
	return nil
}

func (s schema) checkObject(path string, object map[string]any) error {
	prefix := strings.TrimPrefix(path+".", ".")
	for _, name := range slices.Sorted(maps.Keys(s.below(prefix))) {
		if _, there := object[name]; !there && name != "*" && !s.below(prefix)[name] {
			return fmt.Errorf("%s%s is missing", prefix, name)
		}
	}
	_, any := s.members[prefix+"*"]
	for name, value := range object {
		at := prefix + name
		if any {
			at = prefix + "*"
		}
		if err := s.checkAt(at, value); err != nil {
			return err
		}
	}
	return nil
}

// below returns the members of the object whose paths have a prefix, and whether each may be missing.
func (s schema) below(prefix string) map[string]bool {
	names := map[string]bool{}
	for path, kind := range s.members {
		if rest, ok := strings.CutPrefix(path, prefix); ok && !strings.HasPrefix(rest, "[") {
			name := rest[:len(rest)-len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789*"))]
			names[name] = strings.HasSuffix(kind, ", may be missing")
		}
	}
	return names
}

func isKind(kind string, value any) bool {
	switch v := value.(type) {
	case nil:
		return kind == "null"
	case bool:
		return kind == "boolean"
	case float64:
		return kind == "number"
	case string:
		_, err := base64.RawURLEncoding.DecodeString(v)
		return kind == "string" || kind == "base64url" && v != "" && (err == nil || v == "<base64>")
	}
	return false
}

// leaves returns the commands that do something.
func leaves(cmd *cobra.Command) (names []string) {
	for _, c := range cmd.Commands() {
		names = append(names, leaves(c)...)
	}
	if (!cmd.HasSubCommands() || cmd.Name() == "helper") && !cmd.IsAdditionalHelpTopicCommand() && !cmd.Hidden {
		names = append(names, cmd.CommandPath())
	}
	return names
}

func TestEveryCommandsJSONIsDocumented(t *testing.T) {
	t.Parallel()
	all := readSchemas(t)
	commands := leaves(rootCommand(newInvocation(keys())))
	require.ElementsMatch(t, commands, slices.Collect(maps.Keys(all.of)), "those that there are, and those in docs/cli-json.md")
	for name, s := range all.of {
		require.NoError(t, s.check(s.example), "the example of %s", name)
	}
}

func TestSchemasFindWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := schema{members: map[string]string{
		"list[].id": "base64url", "list[].name": "string or null", "map.*": "number", "more[]": "number, may be missing",
	}}
	require.NoError(t, s.check(`{"list":[{"id":"_w","name":null}],"map":{"x":1,"y":2}}`))
	require.NoError(t, s.check(`{"list":[],"map":{},"more":[1]}`))
	for text, says := range map[string]string{
		`{"map":{}}`:                                "list is missing",
		`{"list":[{"id":"_w"}],"map":{}}`:           "list[].name is missing",
		`{"list":[],"map":{},"other":1}`:            "other is not documented",
		`{"list":[],"map":{},"more":["x"]}`:         "more[] is x, want number",
		`{"list":[],"map":{"x":null}}`:              "map.* is <nil>",
		`{"list":[{"id":"/w","name":""}]}`:          "map is missing",
		`{"list":[{"id":"","name":""}],"map":{}}`:   "list[].id is ",
		`{"list":[{"id":"+w","name":""}],"map":{}}`: "list[].id is +w",
		`[]{}`: "invalid character",
	} {
		require.ErrorContains(t, s.check(text), says, text)
	}
}
