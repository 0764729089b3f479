package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/virtual"
)

// desktop is a machine with udev, which has rules for security keys, and a user at it.
func desktop() site {
	return site{
		nodes: map[string]string{
			"/dev/hidraw0": "root:root rw-------", "/dev/hidraw1": "root:root rw-------", "/dev/hidraw2": "root:root rw-------",
		},
		udev: true, rules: []string{"/usr/lib/udev/rules.d/60-fido-id.rules"}, user: "ada",
	}
}

// at makes a system of keys one with a site.
func (s system) at(place site) system {
	s.survey = func() site { return place }
	return s
}

var (
	deniedKey = hid.Info{
		Path: "/dev/hidraw1", Manufacturer: "Yubico", Product: "YubiKey",
		Err: fmt.Errorf("hid: open /dev/hidraw1: %w: install the rules", fs.ErrPermission),
	}
	busyKey = hid.Info{
		Path: "/dev/hidraw2", Product: "Solo\x1b[2J",
		Err: fmt.Errorf("hid: open /dev/hidraw2: %w: held by fido2-cred (PID 123)", hid.ErrBusy),
	}
	silentKey = hid.Info{Path: "/dev/hidraw0", VendorID: 1, ProductID: 2, Err: errSilent}
	goneKey   = hid.Info{Path: "/dev/hidraw9", Err: fmt.Errorf("hid: open /dev/hidraw9: %w", fs.ErrNotExist)}
)

func TestDoctorShowsWhatItFound(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, virtual.Config{})
	sys := keys(deniedKey, busyKey, silentKey, hid.Info{Path: device, Product: "Soft key"}).at(desktop())
	r := keyfobOn(t.Context(), sys, "doctor").requireOK(t)
	require.Empty(t, r.stderr)
	require.Equal(t, `platform:  `+platform+`
nodes:     3
sysfs:     visible
udev:      true
udevRules: /usr/lib/udev/rules.d/60-fido-id.rules

Yubico YubiKey (/dev/hidraw1)
  problem: permission denied (root:root rw-------)
  remedy:  sudo udevadm trigger --subsystem-match=hidraw # or pull the key and plug it in again: there are rules, but they came later

Solo�[2J (/dev/hidraw2)
  problem: key busy: held by fido2-cred (PID 123)
  remedy:  let fido2-cred finish, or end it: kill 123

0001:0002 (/dev/hidraw0)
  problem: it opens but does not answer within 5s
  remedy:  pull the key and plug it in again

Soft key (`+device+`)
  it opens and answers: good for use
`, r.stdout)

	r = keyfobOn(t.Context(), sys, "doctor", "--json").requireOK(t)
	found := decodeObject(t, r.stdout)
	require.Equal(t, 1.0, found["usable"])
	require.Equal(t, []any{"/usr/lib/udev/rules.d/60-fido-id.rules"}, found["udevRules"])
	list := found["keys"].([]any)
	require.Equal(t, map[string]any{
		"path": "/dev/hidraw2", "manufacturer": "", "product": "Solo\x1b[2J", "usable": false,
		"problem": "key busy: held by fido2-cred (PID 123)",
		"remedy":  "let fido2-cred finish, or end it: kill 123",
	}, list[1])
	require.Equal(t, map[string]any{
		"path": device, "manufacturer": "", "product": "Soft key", "usable": true, "problem": nil, "remedy": nil,
	}, list[3])
}

// Without a key to use, the status and the hint are those of the worst reason, and what was found is shown all the same.
func TestDoctorFailsForTheWorstReason(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		keys   []hid.Info
		status int
		says   []string
	}{
		{"permission", []hid.Info{goneKey, silentKey, deniedKey, busyKey}, exitPermission,
			[]string{"no key can be used: Yubico YubiKey (/dev/hidraw1): permission denied", "hint: sudo udevadm trigger"}},
		{"busy", []hid.Info{goneKey, busyKey}, exitError, []string{"held by fido2-cred", "kill 123"}},
		{"silent", []hid.Info{silentKey, goneKey}, exitError, []string{"does not answer", "pull the key"}},
		{"gone", []hid.Info{goneKey}, exitNoDevice, []string{"/dev/hidraw9", "plug the key in again"}},
		{"none", nil, exitNoDevice, []string{"there is no key", "hint: plug a key in"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := keyfobOn(t.Context(), keys(tc.keys...).at(desktop()), "doctor")
			require.Equal(t, tc.status, r.status)
			require.Equal(t, len(tc.keys), strings.Count(r.stdout, "  problem: "))
			for _, text := range tc.says {
				require.Contains(t, r.stderr, text)
			}
		})
	}
}

func TestDoctorCannotList(t *testing.T) {
	t.Parallel()
	sys := keys().at(site{})
	sys.list = func() ([]hid.Info, error) { return nil, errors.ErrUnsupported }
	keyfobOn(t.Context(), sys, "doctor").requireFailure(t, exitNoDevice, "--device PATH")
}

func TestDoctorSaysHowToGetPermission(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(*site)
		want   string
	}{
		{"no rules", func(s *site) { s.rules = nil }, installRules},
		{"over the network", func(s *site) { s.remote = true },
			"sudo groupadd -f plugdev && sudo usermod -aG plugdev ada && " + installRules + " # and log in again"},
		{"a group that may", func(s *site) { s.nodes["/dev/hidraw1"] = "root:plugdev rw-rw----" },
			"sudo usermod -aG plugdev ada # and log in again"},
		{"a group that may not", func(s *site) { s.nodes["/dev/hidraw1"], s.rules = "root:sys rw-r-----", nil }, installRules},
		{"no udev", func(s *site) { s.udev = false }, "sudo chown ada /dev/hidraw1 #"},
		{"docker", func(s *site) { s.confined = inDocker }, "docker run --device /dev/hidraw1"},
		{"podman", func(s *site) { s.confined = inPodman }, "podman run --device /dev/hidraw1 --group-add keep-groups"},
		{"container", func(s *site) { s.confined = inContainer }, "pass /dev/hidraw1 in to the container"},
		{"snap", func(s *site) { s.confined, s.name = inSnap, "tool" }, "sudo snap connect tool:u2f-devices"},
		{"flatpak", func(s *site) { s.confined = inFlatpak }, "flatpak override --user --device=all APP"},
		{"WSL", func(s *site) { s.confined, s.udev = inWSL, false }, "sudo chown ada /dev/hidraw1"},
		{"another system", func(s *site) { *s = site{allow: "call root"} }, "call root"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			place := desktop()
			tc.change(&place)
			r := keyfobOn(t.Context(), keys(deniedKey).at(place), "doctor")
			require.Equal(t, exitPermission, r.status)
			require.Contains(t, r.stdout, "  remedy:  ")
			require.Contains(t, r.stdout, tc.want)
			require.Contains(t, r.stderr, tc.want)
		})
	}
}

func TestDoctorSaysHowToGetAKey(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(*site)
		status int
		want   string
	}{
		{"docker", func(s *site) { s.confined = inDocker }, exitNoDevice, "docker run --device"},
		{"WSL", func(s *site) { s.confined = inWSL }, exitNoDevice, "usbipd attach --wsl"},
		{"hidden sysfs", func(s *site) { s.hiddenSysfs = true }, exitPermission, "mount -t sysfs sysfs /sys"},
		{"hidden sysfs without nodes", func(s *site) { s.hiddenSysfs, s.nodes = true, nil }, exitNoDevice, "plug a key in"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			place := desktop()
			tc.change(&place)
			r := keyfobOn(t.Context(), keys().at(place), "doctor")
			require.Equal(t, tc.status, r.status)
			require.Contains(t, r.stderr, tc.want)
		})
	}
}

func TestDoctorPrintsRules(t *testing.T) {
	t.Parallel()
	require.Equal(t, udevRules, keyfobOn(t.Context(), keys(), "doctor", "--udev-rules").requireOK(t).stdout)
}
