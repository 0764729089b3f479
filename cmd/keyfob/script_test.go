package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/virtual"
)

var update = flag.Bool("update", false, "write what commands print into the scripts of testdata/script")

// TestScripts runs the scripts in testdata/script. They have the commands of testscript, and
//
//	plug NAME [preset=P] [without=A,B] [pin=1234] [untouched]    plug in a virtual key; $NAME is its --device
//	[!] keyfob ...                                               run keyfob in this process, with the keys plugged in
//	status N                                                     the exit status that it had
//	input FILE                                                   what the next keyfob reads
//	let NAME PATH                                                set $NAME to a member of its JSON: assertions.0.signature
//	[!] same A B                                                 compare what let has set
//	bytes N                                                      how many bytes of output the last keyfob wrote
//	short NAME                                                   in what keyfob prints, <NAME> is now the beginning of $NAME
//
// Files of the script are named as $WORK/FILE. In what keyfob printed, "unix:NAME" stands for the key, and "<base64>" for 16
// bytes or more, which are others each time.
func TestScripts(t *testing.T) {
	t.Parallel()
	all := readSchemas(t)
	t.Cleanup(func() { requireAllHeld(t, all) })
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
		Setup: func(env *testscript.Env) error {
			env.Values[deskKey{}] = &desk{t: env.T().(testing.TB), schemas: all}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"plug":   scripted((*desk).plug),
			"keyfob": scripted((*desk).keyfob),
			"status": scripted((*desk).requireStatus),
			"input":  scripted((*desk).input),
			"let":    scripted((*desk).let),
			"same":   scripted((*desk).same),
			"bytes":  scripted((*desk).requireBytes),
			"short":  scripted((*desk).short),
		},
	})
}

type deskKey struct{}

// desk is where a script's keys are plugged in.
type desk struct {
	t       testing.TB
	schemas *schemas
	keys    []hid.Info
	names   []string // for strings.NewReplacer
	stdin   string
	status  int
	stdout  string // of the last command, as it was
}

// requireAllHeld checks that scripts have run each command with --json, if no script was left out. That a key is served is
// for programs that run meanwhile.
func requireAllHeld(t *testing.T, all *schemas) {
	if strings.Contains(flag.Lookup("test.run").Value.String(), "/") || t.Failed() {
		return
	}
	for name, s := range all.of {
		if !s.free && !all.held[name] && name != "keyfob virtual serve" {
			t.Errorf("no script has run %s --json", name)
		}
	}
}

func scripted(command func(*desk, *testscript.TestScript, bool, []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, not bool, args []string) {
		command(ts.Value(deskKey{}).(*desk), ts, not, args)
	}
}

func (d *desk) plug(ts *testscript.TestScript, _ bool, args []string) {
	name, pin := args[0], ""
	var config virtual.Config
	for _, arg := range args[1:] {
		option, value, _ := strings.Cut(arg, "=")
		switch option {
		case "preset":
			config = virtual.Preset(value).Config()
		case "without":
			config.Without = strings.Split(value, ",")
		case "pin":
			pin = value
		case "untouched":
			config.UserPresence = untouched().UserPresence
		default:
			ts.Fatalf("plug: no option %s", arg)
		}
	}
	device, _ := plug(d.t, config)
	if pin != "" {
		keyfob(d.t, "pin", "set", "--device", device, "--pin-file", pinFile(d.t, pin)).requireOK(d.t)
	}
	d.keys = append(d.keys, hid.Info{Path: device, Bus: hid.BusUnix, Manufacturer: "Virtual", Product: name})
	d.names = append(d.names, device, "unix:"+name)
	ts.Setenv(name, device)
}

func (d *desk) keyfob(ts *testscript.TestScript, not bool, args []string) {
	sys := keys(d.keys...)
	sys.stdin = strings.NewReader(d.stdin)
	sys.survey = survey
	ctx, cancel := context.WithTimeout(d.t.Context(), commandLimit)
	defer cancel()
	r := keyfobOn(ctx, sys, args...)
	d.stdin, d.status, d.stdout = "", r.status, r.stdout
	fmt.Fprint(ts.Stdout(), d.stable(ts, r.stdout))
	fmt.Fprint(ts.Stderr(), d.stable(ts, r.stderr))
	if slices.Contains(args, "--json") && r.status == exitOK {
		ts.Check(d.schemas.hold(rootCommand(newInvocation(keys())), args, r.stdout))
	}
	if (r.status == exitOK) == not {
		ts.Fatalf("exit status %d: %s", r.status, r.stderr)
	}
}

// longBase64 may be followed by what shows that it is a name, and not a value.
var longBase64 = regexp.MustCompile(`([A-Za-z0-9_-]{22,})("?[:=])?`)

var uuid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// stable returns text as it is in every run.
func (d *desk) stable(ts *testscript.TestScript, text string) string {
	text = strings.NewReplacer(append(d.names, ts.MkAbs("."), "$WORK")...).Replace(text)
	return longBase64.ReplaceAllStringFunc(text, func(found string) string {
		if _, err := base64.RawURLEncoding.DecodeString(found); err != nil || uuid.MatchString(found) || strings.HasPrefix(found, "userVerification") {
			return found
		}
		return "<base64>"
	})
}

func (d *desk) requireStatus(ts *testscript.TestScript, _ bool, args []string) {
	if want, err := strconv.Atoi(args[0]); err != nil || want != d.status {
		ts.Fatalf("exit status %d, want %s", d.status, args[0])
	}
}

func (d *desk) input(ts *testscript.TestScript, _ bool, args []string) {
	d.stdin = ts.ReadFile(args[0])
}

// short is for IDs in base64url.
func (d *desk) short(ts *testscript.TestScript, _ bool, args []string) {
	id := ts.Getenv(args[0])
	if len(id) > leastIDLength {
		d.names = append(d.names, id, id) // it stays
		id = id[:leastIDLength]
	}
	d.names = append(d.names, id, "<"+args[0]+">")
}

func (d *desk) let(ts *testscript.TestScript, _ bool, args []string) {
	var value any
	ts.Check(json.Unmarshal([]byte(d.stdout), &value))
	for name := range strings.SplitSeq(args[1], ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[name]
		case []any:
			i, err := strconv.Atoi(name)
			ts.Check(err)
			value = v[i]
		}
	}
	if value == nil {
		ts.Fatalf("no %s in %s", args[1], d.stdout)
	}
	ts.Setenv(args[0], fmt.Sprint(value))
}

func (d *desk) same(ts *testscript.TestScript, not bool, args []string) {
	if (args[0] == args[1]) == not {
		ts.Fatalf("%s and %s", args[0], args[1])
	}
}

func (d *desk) requireBytes(ts *testscript.TestScript, _ bool, args []string) {
	if fmt.Sprint(len(d.stdout)) != args[0] {
		ts.Fatalf("%d bytes, want %s", len(d.stdout), args[0])
	}
}
