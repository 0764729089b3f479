package guest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/hid"
)

// A variable makes this program a child that does something with package hid in a process of its own, and another one
// says with what.
const (
	childRole     = "KEYFOB_GUEST_CHILD"
	childArgument = "KEYFOB_GUEST_ARGUMENT"
)

var children = map[string]func(argument string){
	"askpass": askpass,
	"idle":    idle,
	"list":    list,
}

// child returns the command that makes this program a child.
func child(t *testing.T, role, argument string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	c := exec.CommandContext(t.Context(), self)
	c.Env = append(os.Environ(), childRole+"="+role, childArgument+"="+argument)
	c.Stderr = os.Stderr
	return c
}

// idle opens a node, waits for a report, and watches. It never returns.
func idle(path string) {
	_, events, err := hid.Watch(context.Background())
	if err != nil {
		fail("idle", err)
	}
	go func() { fail("idle", fmt.Errorf("unexpected event %v", <-events)) }()
	d, err := hid.Open(path)
	if err == nil {
		fmt.Println("reading")
		_, err = d.Read(make([]byte, reportSize))
	}
	fail("idle", err)
}

func list(string) {
	if _, err := hid.List(); err != nil {
		fail("list", err)
	}
}

func fail(role string, err error) {
	fmt.Fprintln(os.Stderr, role+":", err)
	os.Exit(1)
}
