package guest

import (
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/internal/usbip"
	"github.com/keyfob-go/keyfob/virtual"
)

func init() { children["doctor"] = doctorWithoutSysfs }

// doctorWithoutSysfs becomes "keyfob doctor" of a user, where /sys is empty, which takes a mount namespace of the process.
func doctorWithoutSysfs(uid string) {
	var id int
	_, err := fmt.Sscan(uid, &id)
	if err == nil {
		err = hide("/sys")
	}
	if err == nil {
		err = syscall.Setuid(id)
	}
	if err == nil {
		err = syscall.Exec("/bin/keyfob", []string{"keyfob", "doctor"}, os.Environ())
	}
	fail("doctor", err)
}

func TestDoctorWithoutKey(t *testing.T) {
	result := runTool(t, "", "keyfob", "doctor")
	require.Equal(t, exitNoDevice, result.status)
	require.Contains(t, result.stdout, "nodes:     0\n")
	require.Contains(t, result.stderr, "there is no key")
}

// TestDoctorCures has a user who may not use the key and does what the doctor says.
func TestDoctorCures(t *testing.T) {
	key := attachSoftKey(t, virtual.Config{})
	result := runAsUser(t, "keyfob", "doctor")
	t.Log(result.stdout + result.stderr)
	require.Equal(t, exitPermission, result.status)
	require.Contains(t, result.stdout, "  problem: permission denied (root:root rw-------)\n")
	require.Contains(t, result.stdout, "  remedy:  sudo chown 1000 "+key.Path+" #")
	require.NoError(t, os.Chown(key.Path, 1000, 0))
	result = runAsUser(t, "keyfob", "doctor")
	require.Zero(t, result.status, result.stderr)
	require.Contains(t, result.stdout, "good for use")

	require.NoError(t, os.Chown(key.Path, 0, 46))
	require.NoError(t, os.Chmod(key.Path, 0o660))
	result = runAsUser(t, "keyfob", "doctor")
	require.Equal(t, exitPermission, result.status)
	require.Contains(t, result.stderr, "sudo usermod -aG 46 1000 # and log in again")
}

func TestDoctorNamesWhoHoldsTheKey(t *testing.T) {
	key := attachSoftKey(t, virtual.Config{})
	d := openKey(t, key.Path)
	result := runTool(t, "", "keyfob", "doctor")
	t.Log(result.stdout + result.stderr)
	require.Equal(t, exitError, result.status)
	require.Contains(t, result.stdout, fmt.Sprintf("let guest.test finish, or end it: kill %d\n", os.Getpid()))
	require.NoError(t, d.Close())
	require.Zero(t, runTool(t, "", "keyfob", "doctor").status)
}

// TestDoctorHearsSilence has a key that takes everything and says nothing.
func TestDoctorHearsSilence(t *testing.T) {
	attachUSB(t, usbip.Config{Product: "Mute key"}, func(rw io.ReadWriteCloser) { io.Copy(io.Discard, rw) })
	result := runTool(t, "", "keyfob", "doctor")
	t.Log(result.stdout + result.stderr)
	require.Equal(t, exitError, result.status)
	require.Contains(t, result.stderr, "hint: pull the key and plug it in again")
}

// TestDoctorWithoutSysfs has root find the key all the same, and a user find nothing but the reason.
func TestDoctorWithoutSysfs(t *testing.T) {
	attachSoftKey(t, virtual.Config{})
	for _, tc := range []struct {
		uid    string
		status int
		says   string
	}{{"0", 0, "good for use"}, {"1000", exitPermission, "mount -t sysfs sysfs /sys"}} {
		c := child(t, "doctor", tc.uid)
		c.Stderr = nil
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
		result := run(t, c)
		t.Log(result.stdout + result.stderr)
		require.Equal(t, tc.status, result.status)
		require.Contains(t, result.stdout, "sysfs:     hidden\n")
		require.Contains(t, result.stdout+result.stderr, tc.says)
	}
}
