package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/virtual"
)

var twoKeys = []hid.Info{
	{
		Path: "/dev/hidraw0", Bus: hid.BusUSB, VendorID: 0x1050, ProductID: 0x407,
		Manufacturer: "Yubico", Product: "YubiKey",
	}, {
		Path: "/dev/hidraw12", Bus: hid.BusVirtual,
		Err: fmt.Errorf("hid: open /dev/hidraw12: %w: call root", fs.ErrPermission),
	},
}

func TestListShowsKeysWithoutPermissionToo(t *testing.T) {
	t.Parallel()
	r := keyfobOn(t.Context(), keys(twoKeys...), "list").requireOK(t)
	require.Empty(t, r.stderr)
	require.Equal(t, `/dev/hidraw0   1050:0407  usb      Yubico YubiKey
/dev/hidraw12  0000:0000  virtual  -               hid: open /dev/hidraw12: permission denied: call root
`, r.stdout)

	r = keyfobOn(t.Context(), keys(twoKeys...), "list", "--json").requireOK(t)
	require.JSONEq(t, `[
		{"path": "/dev/hidraw0", "bus": "usb", "vendorId": 4176, "productId": 1031, "manufacturer": "Yubico",
			"product": "YubiKey", "serial": "", "error": null},
		{"path": "/dev/hidraw12", "bus": "virtual", "vendorId": 0, "productId": 0, "manufacturer": "", "product": "",
			"serial": "", "error": "hid: open /dev/hidraw12: permission denied: call root"}
	]`, r.stdout)
}

func TestListWithoutKeysIsNoError(t *testing.T) {
	t.Parallel()
	r := keyfob(t, "list").requireOK(t)
	require.Empty(t, r.stdout)
	require.Contains(t, r.stderr, "hint: plug a key in")
	require.Equal(t, "[]\n", keyfob(t, "list", "--json").requireOK(t).stdout)
}

func TestTheOnlyKeyNeedsNoDevice(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, virtual.Config{})
	only := keys(hid.Info{Path: device})
	keyfobOn(t.Context(), only, "info", "--json").members(t)
	keyfobOn(t.Context(), only, "register", "--rp", "example.org", "--user", "alice").requireOK(t)
}

func TestInfoOfTheVirtualKey(t *testing.T) {
	t.Parallel()
	device, _ := plug(t, virtual.Config{AlwaysUV: true, AAGUID: ctap2.AAGUID{1, 2}})
	require.Regexp(t, `^versions: +FIDO_2_0, FIDO_2_1
extensions: .*hmac-secret.*
aaguid: +01020000-0000-0000-0000-000000000000
options: +alwaysUv=true, .*clientPin=false, .*
maxMsgSize: +\d+
pinUvAuthProtocols: +2, 1
(?s:.*)
algorithms: +ES256, EdDSA, ES384, ES512, RS256
(?s:.*)`, keyfob(t, "info", "--device", device).requireOK(t).stdout)

	members := keyfob(t, "info", "--device", device, "--json").members(t)
	require.Equal(t, []any{"FIDO_2_0", "FIDO_2_1"}, members["versions"])
	require.Equal(t, true, members["options"].(map[string]any)["alwaysUv"])
	require.Equal(t, map[string]any{"type": "public-key", "alg": -7.0}, members["algorithms"].([]any)[0])
	require.Equal(t, []any{2.0, 1.0}, members["pinUvAuthProtocols"])
}

func TestInfoShowsEveryMember(t *testing.T) {
	t.Parallel()
	number, yes := uint64(0), true
	full := &ctap2.Info{
		Versions: []string{"V"}, Extensions: []string{"E", "\x1b[2J"}, Options: map[string]bool{"b": true, "a": false},
		MaxMsgSize: 1, PINUVAuthProtocols: []ctap2.PINProtocol{1}, MaxCredentialCountInList: 2, MaxCredentialIDLength: 3,
		Transports: []string{"usb", "nfc"}, Algorithms: []ctap2.CredentialParameter{{Algorithm: -7}, {Algorithm: -999}},
		MaxSerializedLargeBlobArray: 4, ForcePINChange: true, MinPINLength: 5, FirmwareVersion: 6, MaxCredBlobLength: 7,
		MaxRPIDsForSetMinPINLength: 8, PreferredPlatformUVAttempts: 9, UVModality: 10,
		Certifications: map[string]uint64{"FIDO": 1}, RemainingDiscoverableCredentials: &number,
		VendorPrototypeConfigCommands: []uint64{1 << 63}, AttestationFormats: []string{"packed"},
		UVCountSinceLastPINEntry: &number, LongTouchForReset: true, EncIdentifier: []byte{0xff, 0xff, 0xff},
		TransportsForReset: []string{}, PINComplexityPolicy: &yes, PINComplexityPolicyURL: []byte("https://x"),
		MaxPINLength: 11, EncCredStoreState: []byte{0}, AuthenticatorConfigCommands: []uint64{},
	}
	var shown console
	require.NoError(t, write(&page{Writer: &shown}, infoRecord(full), false))
	require.Equal(t, `versions:                         V
extensions:                       E, �[2J
aaguid:                           00000000-0000-0000-0000-000000000000
options:                          a=false, b=true
maxMsgSize:                       1
pinUvAuthProtocols:               1
maxCredentialCountInList:         2
maxCredentialIdLength:            3
transports:                       usb, nfc
algorithms:                       ES256, COSE(-999)
maxSerializedLargeBlobArray:      4
forcePINChange:                   true
minPINLength:                     5
firmwareVersion:                  6
maxCredBlobLength:                7
maxRPIDsForSetMinPINLength:       8
preferredPlatformUvAttempts:      9
uvModality:                       10
certifications:                   FIDO=1
remainingDiscoverableCredentials: 0
vendorPrototypeConfigCommands:    9223372036854775808
attestationFormats:               packed
uvCountSinceLastPinEntry:         0
longTouchForReset:                true
encIdentifier:                    ____
transportsForReset:               -
pinComplexityPolicy:              true
pinComplexityPolicyURL:           https://x
maxPINLength:                     11
encCredStoreState:                AA
authenticatorConfigCommands:      -
`, shown.String())

	var encoded console
	require.NoError(t, write(&page{Writer: &encoded}, infoRecord(full), true))
	members := decodeObject(t, encoded.String())
	require.Len(t, members, 31)
	require.Equal(t, []any{}, members["authenticatorConfigCommands"])
	require.Equal(t, []any{}, members["transportsForReset"])

	var least console
	require.NoError(t, write(&page{Writer: &least}, infoRecord(&ctap2.Info{}), true))
	require.JSONEq(t, `{"versions": [], "aaguid": "00000000-0000-0000-0000-000000000000", "options": {}, "maxMsgSize": 0,
		"forcePINChange": false, "minPINLength": 0, "attestationFormats": [], "longTouchForReset": false,
		"maxPINLength": 0}`, least.String())
}

// What a key calls itself reaches the terminal with every question.
func TestKeyNamesAreHostile(t *testing.T) {
	t.Parallel()
	evil := hid.Info{Path: "/dev/hidraw0", Product: "Key\x1b[2J\n\u202e"}
	require.Equal(t, "Key\ufffd[2J\ufffd\ufffd (/dev/hidraw0)", newInvocation(keys()).nameOf(evil))
}

// Traces go to other people, and their lines begin with # where a key has no say.
func TestTraceBeginsWithPrintableLines(t *testing.T) {
	t.Parallel()
	require.Equal(t, "unknown 0000:0000  Key\ufffd# x", model(hid.Info{Path: "p", Product: "Key\n# x"}))
}

func TestWinkAndPing(t *testing.T) {
	t.Parallel()
	winks := make(chan struct{}, 1)
	device, _ := plug(t, virtual.Config{Wink: func() { winks <- struct{}{} }})
	r := keyfob(t, "wink", "--device", device).requireOK(t)
	require.Empty(t, r.stdout)
	<-winks // after the answer

	ping := keyfob(t, "ping", "--device", device, "--json").members(t)
	require.Equal(t, 57.0, ping["bytes"])
	require.Len(t, ping["milliseconds"], 1)
	for _, size := range []string{"0", "7609"} {
		ping = keyfob(t, "ping", "--device", device, "--size", size, "--count", "3", "--json").members(t)
		require.Len(t, ping["milliseconds"], 3)
	}
	require.Regexp(t, `^bytes:        57\nmilliseconds: [\d.]+, [\d.]+\n$`,
		keyfob(t, "ping", "--device", device, "--count", "2").requireOK(t).stdout)
}

// The state of the built-in key lasts from one run to the next, where only its owner can read it.
func TestBuiltInKeyRemembers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	path := filepath.Join(dir, "key")
	t.Setenv("KEYFOB_VIRTUAL_STATE", path)
	keyfob(t, "pin", "set", "--device", "virtual", "--pin-file", pinFile(t, "1234")).requireOK(t)
	pins := pinFile(t, "1234")
	cred := register(t, "virtual", "--resident", "--pin-file", pins)
	r := keyfob(t, "authenticate", "--device", "virtual", "--rp", "example.org", "--json", "--pin-file", pins,
		"--public-key", cred["publicKey"].(string))
	require.Equal(t, cred["credentialId"], assertionsOf(t, r.requireOK(t))[0]["credentialId"])
	require.Contains(t, r.stderr, "the virtual key touches itself")
	require.Contains(t, r.stderr, path)
	require.Contains(t, r.stderr, "Touch the virtual key to authenticate\n")
	keyfob(t, "wink", "--device", "virtual").requireOK(t)
	keyfob(t, "ping", "--device", "virtual").requireOK(t)

	requireMode(t, dir, 0o700)
	requireMode(t, path, 0o600)

	require.NoError(t, os.WriteFile(path, []byte("{"), 0o600))
	keyfob(t, "info", "--device", "virtual").requireFailure(t, exitError, "KEYFOB_VIRTUAL_STATE")
}

func requireMode(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, mode, info.Mode().Perm(), path)
}

func TestBuiltInKeyLivesInTheConfigurationDirectory(t *testing.T) {
	home := t.TempDir()
	t.Setenv("KEYFOB_VIRTUAL_STATE", "")
	for _, name := range []string{"HOME", "XDG_CONFIG_HOME", "AppData"} {
		t.Setenv(name, home)
	}
	keyfob(t, "info", "--device", "virtual").requireOK(t)
	config, err := os.UserConfigDir()
	require.NoError(t, err)
	requireMode(t, filepath.Join(config, "keyfob"), 0o700)
	require.FileExists(t, filepath.Join(config, "keyfob", "virtual-key"))
}

func TestNoPlaceForTheBuiltInKey(t *testing.T) {
	t.Setenv("KEYFOB_VIRTUAL_STATE", filepath.Join(pinFile(t, "a file"), "key"))
	keyfob(t, "info", "--device", "virtual").requireFailure(t, exitError, "KEYFOB_VIRTUAL_STATE")
}
