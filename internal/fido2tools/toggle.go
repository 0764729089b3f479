package fido2tools

import (
	"fmt"
	"strings"
)

// toggle is an option of a request: sent as true or false, or left out.
type toggle int

const (
	omitted toggle = iota
	off
	on
)

func (v toggle) String() string { return [...]string{"omit", "false", "true"}[v] }

// pointer returns the toggle as a message has it.
func (v toggle) pointer() *bool {
	if v == omitted {
		return nil
	}
	value := v == on
	return &value
}

// toggles are what -t sets.
type toggles struct{ up, uv, pin toggle }

// set reads "up=true" and the like.
func (t *toggles) set(assignment string) error {
	key, text, ok := strings.Cut(assignment, "=")
	if !ok {
		return fmt.Errorf("invalid assignment '%s'", assignment)
	}
	value := map[string]toggle{"true": on, "false": off}[text]
	if value == omitted {
		return fmt.Errorf("unknown value '%s'", text)
	}
	switch key {
	case "up":
		t.up = value
	case "uv":
		t.uv = value
	case "pin":
		t.pin = value
	default:
		return fmt.Errorf("unknown key '%s'", key)
	}
	return nil
}
