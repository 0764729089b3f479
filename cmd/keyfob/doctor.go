package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/hid"
)

// udevRules are rules that let users at their keys.
//
//go:embed udev/70-keyfob.rules
var udevRules string

func doctorCommand(inv *invocation) *cobra.Command {
	var rules bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find out why keys cannot be used, and what to do about it.",
		Args:  cobra.NoArgs,
		RunE: inv.run(func(ctx context.Context) (output, error) {
			if rules {
				return verbatim(udevRules), nil
			}
			c, err := examine(ctx, inv.list, inv.survey())
			if err != nil {
				return nil, err
			}
			return c, c.failure()
		}),
	}
	cmd.Flags().BoolVar(&rules, "udev-rules", false,
		"print rules for Linux's udev that let users at their keys, and do nothing else")
	return cmd
}

// verbatim is text that is shown as it is.
type verbatim string

// MarshalJSON implements [json.Marshaler].
func (v verbatim) MarshalJSON() ([]byte, error) { return json.Marshal(string(v)) }

func (v verbatim) text(p *page) { io.WriteString(p, string(v)) }

// site is what a system has that can keep a program from its keys.
type site struct {
	nodes       map[string]string // HID nodes by their paths: "root:root rw-------"
	confined    string            // what the program is shut in: docker, podman, a container, snap, flatpak, WSL; or empty
	name        string            // what confined calls the program
	hiddenSysfs bool
	udev        bool     // it runs
	rules       []string // files with udev's rules for security keys
	remote      bool     // the user came over the network, and so does not sit at the machine
	user        string

	allow string // what to do about a permission that is missing, where nothing above tells more
}

// patient is a key and what keeps it from being used.
type patient struct {
	key  hid.Info
	err  error // nil if it is good for use
	node string
	advice
}

// checkup is what the doctor found.
type checkup struct {
	site site
	keys []patient
	none advice // what to do if there is no key
}

// examine opens every key and has it say what it is.
func examine(ctx context.Context, list func() ([]hid.Info, error), s site) (*checkup, error) {
	keys, err := list()
	if err != nil {
		return nil, listFailure(err)
	}
	c := &checkup{site: s, none: s.adviceOnNoKey()}
	for _, key := range keys {
		p := patient{key: key, node: s.nodes[key.Path], err: try(ctx, key)}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if p.err != nil {
			p.advice = s.adviceOn(key, p.err)
		}
		c.keys = append(c.keys, p)
	}
	return c, nil
}

// answerLimit is how long a key may take to say what it is, which takes some milliseconds.
const answerLimit = 5 * time.Second

var errSilent = fmt.Errorf("it opens but does not answer within %v", answerLimit)

// try returns why a key cannot be used, or nil.
func try(ctx context.Context, key hid.Info) error {
	if key.Err != nil {
		return key.Err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, answerLimit, errSilent)
	defer cancel()
	a, err := authenticator.Open(ctx, key, nil)
	if err != nil {
		return err
	}
	return a.Close()
}

// usable returns how many keys are good for use.
func (c *checkup) usable() (n int) {
	for _, p := range c.keys {
		if p.err == nil {
			n++
		}
	}
	return n
}

// severity is the order of the exit statuses of what is wrong with keys; others come before them.
var severity = []int{exitNoDevice, exitError, exitPermission}

// failure is about the worst of what is wrong, unless there is a key to use.
func (c *checkup) failure() error {
	if c.usable() > 0 {
		return nil
	}
	if len(c.keys) == 0 {
		return failuref(c.none.status, c.none.next, "there is no key")
	}
	worst := slices.MaxFunc(c.keys, func(p, q patient) int {
		return slices.Index(severity, p.status) - slices.Index(severity, q.status)
	})
	return failuref(worst.status, worst.next, "no key can be used: %v: %s", worst.key, worst.problem())
}

// problem is why a key cannot be used, in words. Which key that is stands beside it.
func (p *patient) problem() string {
	if errors.Is(p.err, fs.ErrPermission) && p.node != "" {
		return fmt.Sprintf("permission denied (%s)", p.node)
	}
	text, before := p.err.Error(), p.key.Path+": "
	if n := strings.LastIndex(text, before); n >= 0 {
		text = text[n+len(before):]
	}
	return text
}

// MarshalJSON implements [json.Marshaler].
func (c *checkup) MarshalJSON() ([]byte, error) {
	keys := make([]record, len(c.keys))
	for n, p := range c.keys {
		keys[n] = record{
			{"path", p.key.Path}, {"manufacturer", p.key.Manufacturer}, {"product", p.key.Product},
			{"usable", p.err == nil}, {"problem", nil}, {"remedy", nil},
		}
		if p.err != nil {
			keys[n][4].value, keys[n][5].value = p.problem(), p.next
		}
	}
	return append(c.site.record(), field{"usable", c.usable()}, field{"keys", keys}).MarshalJSON()
}

func (c *checkup) text(w *page) {
	c.site.record().text(w)
	for _, p := range c.keys {
		fmt.Fprintf(w, "\n%s\n", w.paint(bold, printable(p.key.String())))
		if p.err == nil {
			fmt.Fprintln(w, "  "+w.paint(green, "it opens and answers: good for use"))
			continue
		}
		fmt.Fprintf(w, "  %s %s\n", w.paint(red, "problem:"), printable(p.problem()))
		if p.next != "" {
			fmt.Fprintf(w, "  remedy:  %s\n", printable(p.next))
		}
	}
}

// record shows the site. What a system does not have is not shown.
func (s *site) record() record {
	r := record{{"platform", platform}}
	if s.confined != "" {
		r = append(r, field{"confinedBy", strings.TrimSpace(s.confined + " " + s.name)})
	}
	if s.nodes != nil {
		r = append(r,
			field{"nodes", len(s.nodes)}, field{"sysfs", visibility(s.hiddenSysfs)},
			field{"udev", s.udev}, field{"udevRules", words(s.rules)})
	}
	return r
}

func visibility(hidden bool) string {
	if hidden {
		return "hidden"
	}
	return "visible"
}
