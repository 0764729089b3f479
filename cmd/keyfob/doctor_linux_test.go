package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// tree makes files below a new root.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o640))
	}
	return root
}

func env(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func TestSurveyOfADesktop(t *testing.T) {
	t.Parallel()
	const mark = `SUBSYSTEM=="hidraw", IMPORT{program}="fido_id"` + "\n"
	root := tree(t, map[string]string{
		"dev/hidraw0": "", "dev/hidraw10": "", "dev/null": "",
		"sys/class/hidraw/hidraw0":                "",
		"run/udev/control":                        "",
		"usr/lib/udev/rules.d/60-fido-id.rules":   "# about keys\n" + mark,
		"lib/udev/rules.d/60-fido-id.rules":       mark,
		"lib/udev/rules.d/70-u2f.rules":           `KERNEL=="hidraw*", ATTRS{idVendor}=="1050", TAG+="uaccess"`,
		"lib/udev/rules.d/71-commented.rules":     "# " + mark,
		"lib/udev/rules.d/72-cameras.rules":       `SUBSYSTEM=="video4linux", ATTRS{idVendor}=="1050"`,
		"etc/udev/rules.d/70-keyfob.rules":        udevRules,
		"etc/udev/rules.d/70-keyfob.rules.backup": udevRules,
	})
	s := linux{root, env(map[string]string{"SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 22"})}.survey()
	require.Len(t, s.nodes, 2)
	require.Regexp(t, `^\S+:\S+ rw-r-----$`, s.nodes["/dev/hidraw10"])
	require.Equal(t, []string{
		"/etc/udev/rules.d/70-keyfob.rules", "/usr/lib/udev/rules.d/60-fido-id.rules", "/lib/udev/rules.d/70-u2f.rules",
	}, s.rules)
	require.True(t, s.udev)
	require.True(t, s.remote)
	require.False(t, s.hiddenSysfs)
	require.Empty(t, s.confined)
	require.NotEmpty(t, s.user)
}

func TestSurveyOfNearlyNothing(t *testing.T) {
	t.Parallel()
	s := linux{tree(t, map[string]string{"dev/hidraw0": ""}), env(nil)}.survey()
	require.True(t, s.hiddenSysfs)
	require.False(t, s.udev || s.remote)
	require.Empty(t, s.rules)

	s = linux{tree(t, map[string]string{"sys/class/net/lo": ""}), env(nil)}.survey()
	require.False(t, s.hiddenSysfs, "there is no HID device")
	require.NotNil(t, s.nodes)
}

func TestConfinement(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		file, text string
		env        map[string]string
		kind, name string
	}{
		{kind: "", name: ""},
		{env: map[string]string{"SNAP": "/snap/tool/1", "SNAP_NAME": "tool"}, kind: inSnap, name: "tool"},
		{file: ".flatpak-info", env: map[string]string{"FLATPAK_ID": "org.example.Tool"}, kind: inFlatpak, name: "org.example.Tool"},
		{file: "run/.containerenv", env: map[string]string{"container": "podman"}, kind: inPodman},
		{file: ".dockerenv", kind: inDocker},
		{env: map[string]string{"container": "systemd-nspawn"}, kind: inContainer, name: "systemd-nspawn"},
		{file: "proc/1/cgroup", text: "0::/kubepods/besteffort/pod1\n", kind: inContainer},
		{file: "proc/1/cgroup", text: "0::/init.scope\n"},
		{file: "proc/sys/kernel/osrelease", text: "5.15.153.1-microsoft-standard-WSL2\n", kind: inWSL},
	} {
		files := map[string]string{"etc/hostname": "x"}
		if tc.file != "" {
			files[tc.file] = tc.text
		}
		kind, name := linux{tree(t, files), env(tc.env)}.confinement()
		require.Equal(t, []string{tc.kind, tc.name}, []string{kind, name})
	}
}
