package main

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/virtual"
)

// biometric is a key that teaches answer what to say to commands about fingerprints, by their subcommands.
func biometric(answer func(ctap2.Subcommand, func() []byte) []byte) virtual.Config {
	config := virtual.Config{Finger: func(context.Context, virtual.Prompt) (virtual.Sample, error) {
		return virtual.Sample{Finger: "thumb"}, nil
	}}
	config.Faults.Answer = func(_ ctaphid.Command, request []byte, run func() []byte) []byte {
		if request[0] != byte(ctap2.CommandBioEnrollment) {
			return run()
		}
		return answer(ctap2.Subcommand(request[5]), run) // a map: modality, subcommand
	}
	return config
}

// The finger is there, so whoever enrolled it must learn its ID.
func TestEnrolledFingerKeepsItsNameForItself(t *testing.T) {
	t.Parallel()
	flags := plugManaged(t, biometric(func(sub ctap2.Subcommand, run func() []byte) []byte {
		if sub == ctap2.SubcommandSetFriendlyName {
			return []byte{byte(ctap2.ErrOther)}
		}
		return run()
	}))
	r := managed(t, flags, "fingerprints", "enroll", "--name", "thumb", "--json")
	require.Equal(t, exitError, r.status)
	require.Contains(t, r.stderr, "the finger is enrolled, but has no name: ")
	enrolled := decodeObject(t, r.stdout)
	require.Nil(t, enrolled["name"])
	list := managed(t, flags, "fingerprints", "list").requireOK(t).stdout
	require.Equal(t, enrolled["templateId"].(string)+"  -\n", list)
}

func TestFingersForWhichThereIsNoRoom(t *testing.T) {
	t.Parallel()
	config := virtual.PresetBiometric.Config()
	config.MaxFingerprints = 1
	flags := plugManaged(t, config)
	managed(t, flags, "fingerprints", "enroll").requireOK(t)
	managed(t, flags, "fingerprints", "enroll").
		requireFailure(t, exitError, `hint: make room with "keyfob fingerprints remove"`)
}

// The oldest and the newest keys that have a sensor
func TestFingersOfKeys(t *testing.T) {
	t.Parallel()
	for _, version := range []virtual.Version{virtual.CTAP21Pre, virtual.CTAP23} {
		config := virtual.PresetBiometric.Config()
		config.Version, config.Preview = version, false
		flags := plugManaged(t, config)
		id := managed(t, flags, "fingerprints", "enroll", "--json").members(t)["templateId"].(string)
		managed(t, flags, "fingerprints", "rename", id[:3], "thumb").requireOK(t)
		require.Equal(t, id+"  thumb\n", managed(t, flags, "fingerprints", "list").requireOK(t).stdout)
		managed(t, flags, "fingerprints", "remove", id, "--yes").requireOK(t)
		require.Empty(t, managed(t, flags, "fingerprints", "list").requireOK(t).stdout)
	}
}

// What a sensor says of itself is believed within bounds.
func TestSensors(t *testing.T) {
	t.Parallel()
	for kind, want := range map[byte][2]string{
		ctap2.SensorSwipe: {"swipe", "Draw the same finger over the sensor, until the key has 1000 good samples."},
		3:                 {"kind-3", "Lay the same finger on the sensor, a little differently each time, until"},
	} {
		flags := plugManaged(t, biometric(func(sub ctap2.Subcommand, run func() []byte) []byte {
			if sub != ctap2.SubcommandGetFingerprintSensorInfo {
				return run()
			}
			return []byte{0, 0xa2, 2, kind, 3, 0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
		}))
		r := managed(t, flags, "fingerprints", "list", "--json")
		sensor := r.members(t)["sensor"].(map[string]any)
		require.Equal(t, want[0], sensor["kind"])
		require.Nil(t, sensor["maxNameLength"])
		name := strings.Repeat("x", 64) // it does not say how long a name may be
		require.Contains(t, managed(t, flags, "fingerprints", "enroll", "--name", name).stderr, want[1])
	}
}

// Enrolling takes longer than other commands, unless somebody says how long.
func TestTimeToEnroll(t *testing.T) {
	t.Parallel()
	flags := plugManaged(t, biometric(func(_ ctap2.Subcommand, run func() []byte) []byte { return run() }))
	require.Contains(t, keyfob(t, "fingerprints", "enroll", "-h").requireOK(t).stdout, "(default 5m0s)")
	require.Contains(t, keyfob(t, "fingerprints", "list", "-h").requireOK(t).stdout, "(default 1m0s)")
	inv := newInvocation(keys())
	cmd := fingerprintsEnrollCommand(inv)
	require.NoError(t, cmd.PreRunE(cmd, nil))
	require.Equal(t, enrollTimeout, inv.timeout)
	managed(t, flags, "fingerprints", "enroll", "--timeout", "1ns").requireFailure(t, exitTimeout, "not done within 1ns")
}

func TestFingersWithHostileNames(t *testing.T) {
	t.Parallel()
	require.Equal(t, `without a name (AQI)`, finger{ID: []byte{1, 2}}.String())
	require.Equal(t, `"`+"\ufffd"+`[31m\"thumb" (AQI)`, finger{ID: []byte{1, 2}, FriendlyName: "\x1b[31m\"thumb"}.String())
}
