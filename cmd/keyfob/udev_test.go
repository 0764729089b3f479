package main

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// token is one of the comparisons and assignments of which udev(7) makes a rule.
type token struct{ key, operator, value string }

var tokenSyntax = regexp.MustCompile(`^([A-Z]+(?:\{[^}]+\})?)(==|!=|\+=|=)"([^"]*)"$`)

func parseRules(t *testing.T, text string) (rules [][]token) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		var rule []token
		for part := range strings.SplitSeq(line, ", ") {
			m := tokenSyntax.FindStringSubmatch(part)
			require.NotNil(t, m, "%s", line)
			rule = append(rule, token{m[1], m[2], m[3]})
		}
		rules = append(rules, rule)
	}
	return rules
}

// apply does with a device what udev does, and returns what was assigned.
func apply(t *testing.T, rules [][]token, device map[string]string) map[string]string {
	t.Helper()
	assigned := map[string]string{}
	for n := 0; n < len(rules); n++ {
		for _, tok := range rules[n] {
			if !tok.matches(device) {
				break
			}
			switch {
			case tok.key == "GOTO":
				jump := slices.IndexFunc(rules, func(r []token) bool { return r[0] == token{"LABEL", "=", tok.value} })
				require.Greater(t, jump, n, "nothing but jumps ahead ends")
				n = jump
			case tok.key != "LABEL" && (tok.operator == "=" || tok.operator == "+="):
				assigned[tok.key] = tok.value
			}
		}
	}
	return assigned
}

func (tok token) matches(device map[string]string) bool {
	if tok.operator != "==" && tok.operator != "!=" {
		return true
	}
	key := tok.key
	if key == "TEST" {
		key = "TEST " + tok.value
		return (device[key] != "") == (tok.operator == "==")
	}
	match := slices.ContainsFunc(strings.Split(tok.value, "|"), func(pattern string) bool {
		ok, _ := path.Match(pattern, device[key])
		return ok
	})
	return match == (tok.operator == "==")
}

func TestUdevRules(t *testing.T) {
	t.Parallel()
	rules := parseRules(t, udevRules)
	granted := map[string]string{"TAG": "uaccess", "MODE": "0660", "GROUP": "plugdev"}
	for _, tc := range []struct {
		name   string
		device map[string]string
		want   map[string]string
	}{
		{"a key that udev knows", map[string]string{"ENV{ID_FIDO_TOKEN}": "1", "TEST /usr/lib/udev/fido_id": "y"}, granted},
		{"an old udev and a YubiKey", map[string]string{"ATTRS{idVendor}": "1050", "ATTRS{idProduct}": "0407"}, granted},
		{"an old udev and a Solo 2", map[string]string{"ATTRS{idVendor}": "1209", "ATTRS{idProduct}": "beee"}, granted},
		{"the YubiKey's keyboard, where udev can tell", map[string]string{
			"ATTRS{idVendor}": "1050", "ATTRS{idProduct}": "0407", "TEST /lib/udev/fido_id": "y"}, nil},
		{"an old udev and a YubiKey without FIDO", map[string]string{"ATTRS{idVendor}": "1050", "ATTRS{idProduct}": "0404"}, nil},
		{"another project of pid.codes", map[string]string{"ATTRS{idVendor}": "1209", "ATTRS{idProduct}": "0001"}, nil},
		{"another subsystem", map[string]string{"SUBSYSTEM": "input", "ENV{ID_FIDO_TOKEN}": "1"}, nil},
		{"removal", map[string]string{"ACTION": "remove", "ENV{ID_FIDO_TOKEN}": "1"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			device := map[string]string{"ACTION": "add", "SUBSYSTEM": "hidraw"}
			maps.Copy(device, tc.device)
			assigned := apply(t, rules, device)
			if tc.want == nil {
				tc.want = map[string]string{}
			}
			require.Equal(t, tc.want, assigned)
		})
	}
}

// Each jump has its label ahead of it, and each name is what sysfs has: four lower-case hexadecimal digits.
func TestUdevRulesAreWellFormed(t *testing.T) {
	t.Parallel()
	rules := parseRules(t, udevRules)
	vendors := map[string]bool{}
	for n, rule := range rules {
		for _, tok := range rule {
			switch tok.key {
			case "GOTO":
				label := []token{{"LABEL", "=", tok.value}}
				require.True(t, slices.ContainsFunc(rules[n:], func(r []token) bool { return slices.Equal(r, label) }), tok.value)
			case "ATTRS{idVendor}":
				require.False(t, vendors[tok.value], fmt.Sprint(tok.value, " is there twice"))
				vendors[tok.value] = true
				require.Regexp(t, `^[0-9a-f]{4}$`, tok.value)
			case "ATTRS{idProduct}":
				require.Regexp(t, `^[0-9a-f]{4}(\|[0-9a-f]{4})*$`, tok.value)
			case "ACTION", "SUBSYSTEM", "ENV{ID_FIDO_TOKEN}", "TEST", "TAG", "MODE", "GROUP", "LABEL":
			default:
				require.Fail(t, "unexpected", tok.key)
			}
		}
	}
	require.NotEmpty(t, vendors)
}
