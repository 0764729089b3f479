package vmtest

import (
	"slices"
	"strings"
)

// lacking are the tests of package behaviour that find nothing to test on keys of a class: those that skip, all of them.
var lacking = map[string][]string{
	"u2f":     {"derives_secrets", "has_a_PIN", "locks", "keeps_passkeys", "hides_passkeys", "keeps_extensions"},
	"2.0":     {"has_a_PIN", "locks", "hides_passkeys"},
	"2.0-pin": {"hides_passkeys"},
}

// expectsSkip reports whether a test of the guest, TestBehaviour/BUS/PRESET/NAME, is one of those.
func expectsSkip(name string) bool {
	parts := strings.Split(name, "/")
	return len(parts) == 4 && parts[0] == "TestBehaviour" && slices.Contains(lacking[parts[2]], parts[3])
}
