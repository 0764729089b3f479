package hid

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// fakeSysfs is a /sys and a /dev with the same links between the same folders as the kernel's.
type fakeSysfs struct {
	sysfs
	root string
}

func newFakeSysfs(t testing.TB) *fakeSysfs {
	t.Helper()
	root := t.TempDir()
	s := &fakeSysfs{root: root, sysfs: sysfs{
		class:  filepath.Join(root, "sys/class/hidraw"),
		dev:    filepath.Join(root, "dev"),
		access: func(string) error { return nil },
		ask:    func(string) (Info, bool) { return Info{}, false },
	}}
	s.mkdir(t, s.class)
	return s
}

// fakeHID is what the kernel tells about a HID device. Without a descriptor or an uevent there is no such file.
type fakeHID struct {
	descriptor []byte
	uevent     string
	usb        map[string]string // files of the USB device above it; nil for a device that isn't on USB
}

// add makes the device behind hidraw<n> and returns its folder.
func (s *fakeSysfs) add(t testing.TB, n int, d fakeHID) string {
	t.Helper()
	parent := filepath.Join(s.root, "sys/devices/virtual/misc/uhid")
	if d.usb != nil {
		usb := filepath.Join(s.root, fmt.Sprintf("sys/devices/pci0000:00/usb1/1-%d", n))
		parent = filepath.Join(usb, fmt.Sprintf("1-%d:1.0", n))
		s.mkdir(t, parent)
		s.write(t, parent, "bInterfaceNumber", "00\n")
		for name, content := range d.usb {
			s.write(t, usb, name, content)
		}
	}
	device := filepath.Join(parent, fmt.Sprintf("0003:1050:0407.%04X", n))
	node := fmt.Sprintf("hidraw%d", n)
	s.mkdir(t, filepath.Join(device, "hidraw", node))
	s.link(t, "../../../"+filepath.Base(device), filepath.Join(device, "hidraw", node, "device"))
	s.link(t, filepath.Join(device, "hidraw", node), filepath.Join(s.class, node))
	if d.descriptor != nil {
		s.write(t, device, "report_descriptor", string(d.descriptor))
	}
	if d.uevent != "" {
		s.write(t, device, "uevent", d.uevent)
	}
	return device
}

func (s *fakeSysfs) mkdir(t testing.TB, dir string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o700))
}

func (s *fakeSysfs) write(t testing.TB, dir, name, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
}

func (s *fakeSysfs) link(t testing.TB, target, path string) {
	t.Helper()
	require.NoError(t, os.Symlink(target, path))
}

// paths lists and returns the names of the nodes found.
func (s *fakeSysfs) paths(t testing.TB) []string {
	t.Helper()
	infos, err := s.list()
	require.NoError(t, err)
	var names []string
	for _, i := range infos {
		require.NoError(t, i.Err)
		names = append(names, filepath.Base(i.Path))
	}
	return names
}

const yubikeyUevent = `DRIVER=hid-generic
HID_ID=0003:00001050:00000407
HID_NAME=Yubico YubiKey OTP+FIDO+CCID
HID_PHYS=usb-0000:00:14.0-4/input1
HID_UNIQ=
MODALIAS=hid:b0003g0001v00001050p00000407
`

const yubikeyPort = "port:1050:0407:usb-0000:00:14.0-4/input1"

func fakeKey(t testing.TB) fakeHID {
	return fakeHID{descriptor: unhex(t, keyDescriptor), uevent: yubikeyUevent}
}

func TestListTellsAboutEachKey(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		uevent string
		usb    map[string]string
		want   Info
	}{
		{"USB names", yubikeyUevent,
			map[string]string{"manufacturer": "Yubico\n", "product": "YubiKey OTP+FIDO+CCID\n", "serial": "0012345\n"},
			Info{Bus: BusUSB, VendorID: 0x1050, ProductID: 0x407, Manufacturer: "Yubico", Product: "YubiKey OTP+FIDO+CCID",
				Serial: "0012345", StableID: "serial:1050:0407:0012345"}},
		{"USB without a manufacturer", yubikeyUevent, map[string]string{"product": "YubiKey\n"},
			Info{Bus: BusUSB, VendorID: 0x1050, ProductID: 0x407, Product: "YubiKey", StableID: yubikeyPort}},
		{"USB names without a serial number", "HID_ID=0003:00001050:00000407\nHID_UNIQ=42\n",
			map[string]string{"manufacturer": "Yubico\n"},
			Info{Bus: BusUSB, VendorID: 0x1050, ProductID: 0x407, Manufacturer: "Yubico", Serial: "42",
				StableID: "serial:1050:0407:42"}},
		{"USB files vanished", yubikeyUevent, map[string]string{},
			Info{Bus: BusUSB, VendorID: 0x1050, ProductID: 0x407, Product: "Yubico YubiKey OTP+FIDO+CCID",
				StableID: yubikeyPort}},
		{"USB device without names, name made up by the kernel",
			"HID_ID=0003:00001050:00000407\nHID_NAME=HID 1050:0407\n", map[string]string{},
			Info{Bus: BusUSB, VendorID: 0x1050, ProductID: 0x407}},
		{"emulated over uhid", "HID_ID=0003:00001209:0000F1D0\nHID_NAME=keyfob\nHID_UNIQ=7\n", nil,
			Info{Bus: BusUSB, VendorID: 0x1209, ProductID: 0xf1d0, Product: "keyfob", Serial: "7",
				StableID: "serial:1209:f1d0:7"}},
		{"Bluetooth", "HID_ID=0005:0000096E:00000858\nHID_NAME=FT-BLE\nHID_PHYS=00:11:22:33:44:55\n" +
			"HID_UNIQ=c0:ff:ee:00:00:01\n", nil,
			Info{Bus: BusBluetooth, VendorID: 0x96e, ProductID: 0x858, Product: "FT-BLE", Serial: "c0:ff:ee:00:00:01",
				StableID: "serial:096e:0858:c0:ff:ee:00:00:01"}},
		{"Bluetooth with the address of the radio only", "HID_ID=0005:0000096E:00000858\nHID_PHYS=00:11:22:33:44:55\n", nil,
			Info{Bus: BusBluetooth, VendorID: 0x96e, ProductID: 0x858}},
		{"virtual bus", "HID_ID=0006:00001209:0000F1D0\n", nil, Info{Bus: BusVirtual, VendorID: 0x1209, ProductID: 0xf1d0}},
		{"I2C", "HID_ID=0018:00001209:0000F1D0\n", nil, Info{VendorID: 0x1209, ProductID: 0xf1d0}},
		{"IDs of 32 bits", "HID_ID=0003:DEAD1050:BEEF0407\n", nil, Info{Bus: BusUSB, VendorID: 0x1050, ProductID: 0x407}},
		{"empty uevent", "\n", nil, Info{}},
		{"ID with too few parts", "HID_ID=0003:00001050\n", nil, Info{}},
		{"ID that is no number", "HID_ID=0003:00001050:zz\n", nil, Info{}},
		{"ID that is too large", "HID_ID=0003:100001050:0407\n", nil, Info{}},
		{"name with a line break that fakes an ID", "HID_ID=0003:00001050:00000407\nHID_NAME=x\nHID_ID=0005:1:1\n", nil,
			Info{Bus: BusUSB, VendorID: 0x1050, ProductID: 0x407, Product: "x"}},
		{"names that a terminal would obey", "HID_NAME=\x1b[2Jkey\u202e\xff\nHID_UNIQ=\x07\n",
			map[string]string{"manufacturer": "\x1b]0;a\x07\n", "product": strings.Repeat("k", 5000), "serial": "\x00"},
			Info{Manufacturer: "]0;a", Product: strings.Repeat("k", maxName)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newFakeSysfs(t)
			s.add(t, 3, fakeHID{descriptor: unhex(t, keyDescriptor), uevent: tc.uevent, usb: tc.usb})
			infos, err := s.list()
			require.NoError(t, err)
			tc.want.Path = filepath.Join(s.dev, "hidraw3") // which isn't there: List opens no node
			tc.want.instance = "0003:1050:0407.0003"
			require.Equal(t, []Info{tc.want}, infos)
		})
	}
}

// The radio's USB device is above a Bluetooth key in sysfs; its names must not become the key's.
func TestListDoesNotTakeTheNamesOfTheRadio(t *testing.T) {
	t.Parallel()
	s := newFakeSysfs(t)
	radio := filepath.Join(s.root, "sys/devices/usb1/1-1")
	iface := filepath.Join(radio, "1-1:1.0")
	device := filepath.Join(iface, "bluetooth/hci0/hci0:256/0005:096E:0858.0001")
	s.mkdir(t, device)
	s.mkdir(t, filepath.Join(s.class, "hidraw0"))
	s.write(t, iface, "bInterfaceNumber", "00\n")
	s.write(t, radio, "manufacturer", "Intel\n")
	s.write(t, device, "report_descriptor", string(unhex(t, keyDescriptor)))
	s.write(t, device, "uevent", "\n")
	s.link(t, device, filepath.Join(s.class, "hidraw0/device"))
	infos, err := s.list()
	require.NoError(t, err)
	require.Equal(t, []Info{{Path: filepath.Join(s.dev, "hidraw0"), instance: "0005:096E:0858.0001"}}, infos)
}

func TestListOneBadNodeHidesNoOther(t *testing.T) {
	t.Parallel()
	s := newFakeSysfs(t)
	s.add(t, 0, fakeHID{}) // no descriptor
	s.add(t, 1, fakeKey(t))
	s.add(t, 2, fakeHID{descriptor: unhex(t, bootKeyboard)})
	s.add(t, 3, fakeHID{descriptor: unhex(t, keyDescriptor)[:5], uevent: yubikeyUevent})
	s.add(t, 4, fakeHID{descriptor: unhex(t, keyDescriptor)}) // no uevent any more
	s.link(t, filepath.Join(s.root, "unplugged"), filepath.Join(s.class, "hidraw5"))
	s.link(t, filepath.Join(s.class, "hidraw6"), filepath.Join(s.class, "hidraw6"))
	s.mkdir(t, filepath.Join(s.class, "hidraw7"))
	s.link(t, "device", filepath.Join(s.class, "hidraw7/device"))
	s.write(t, s.class, "hidraw8", "a file")
	s.mkdir(t, filepath.Join(s.class, "hidraw9/device/report_descriptor"))
	s.add(t, 10, fakeHID{descriptor: append(unhex(t, keyDescriptor), make([]byte, maxDescriptor)...)})
	s.add(t, 11, fakeKey(t))
	gone := filepath.Join(s.class, "hidraw12/device") // no link to tell the instance by
	s.mkdir(t, gone)
	s.write(t, gone, "report_descriptor", string(unhex(t, keyDescriptor)))
	s.write(t, gone, "uevent", yubikeyUevent)
	require.Equal(t, []string{"hidraw1", "hidraw11"}, s.paths(t))
}

func TestListByNumber(t *testing.T) {
	t.Parallel()
	s := newFakeSysfs(t)
	for _, n := range []int{10, 2, 0, 100, 33} {
		s.add(t, n, fakeKey(t))
	}
	require.Equal(t, []string{"hidraw0", "hidraw2", "hidraw10", "hidraw33", "hidraw100"}, s.paths(t))
}

func TestListNoKey(t *testing.T) {
	t.Parallel()
	s := newFakeSysfs(t)
	require.Empty(t, s.paths(t), "empty folder")
	s.class += "-missing"
	require.Empty(t, s.paths(t), "no folder")
}

func TestListUnreadable(t *testing.T) {
	t.Parallel()
	s := newFakeSysfs(t)
	s.write(t, s.root, "file", "")
	s.class = filepath.Join(s.root, "file")
	s.mkdir(t, s.dev)
	require.Empty(t, s.paths(t), "no nodes, whatever sysfs would say")
	s.dev = s.class
	_, err := s.list()
	require.ErrorIs(t, err, syscall.ENOTDIR)
	require.ErrorContains(t, err, "hid: list: ")
}

// hide has the nodes themselves tell what sysfs does not, by their names, and notes which of them are asked.
func (s *fakeSysfs) hide(keys ...string) (asked *[]string) {
	asked = new([]string)
	s.ask = func(path string) (Info, bool) {
		*asked = append(*asked, filepath.Base(path))
		return Info{Path: path, Product: "asked"}, slices.Contains(keys, filepath.Base(path))
	}
	return asked
}

func TestListWithoutSysfsAsksTheNodes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		hide func(t *testing.T, s *fakeSysfs)
	}{
		{"empty folder", func(*testing.T, *fakeSysfs) {}},
		{"no folder", func(t *testing.T, s *fakeSysfs) { require.NoError(t, os.Remove(s.class)) }},
		{"unreadable folder", func(t *testing.T, s *fakeSysfs) {
			require.NoError(t, os.Remove(s.class))
			s.write(t, filepath.Dir(s.class), "hidraw", "a file")
		}},
		{"names only", func(t *testing.T, s *fakeSysfs) {
			for _, node := range []string{"hidraw0", "hidraw2", "hidraw10"} {
				s.link(t, "../../devices/hidden/"+node, filepath.Join(s.class, node))
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newFakeSysfs(t)
			s.mkdir(t, s.dev)
			for _, name := range []string{"hidraw10", "hidraw0", "hidraw2", "hidraw", "hidraw1x", "hiddev0", "null"} {
				s.write(t, s.dev, name, "")
			}
			tc.hide(t, s)
			asked := s.hide("hidraw2", "hidraw10")
			require.Equal(t, []string{"hidraw2", "hidraw10"}, s.paths(t))
			require.Equal(t, []string{"hidraw0", "hidraw2", "hidraw10"}, *asked)
		})
	}
}

func TestListAsksOnlyNodesThatSysfsHides(t *testing.T) {
	t.Parallel()
	s := newFakeSysfs(t)
	s.add(t, 0, fakeKey(t))
	s.add(t, 1, fakeHID{})
	s.add(t, 2, fakeHID{descriptor: unhex(t, bootKeyboard)})
	asked := s.hide("hidraw1")
	require.Equal(t, []string{"hidraw0", "hidraw1"}, s.paths(t))
	require.Equal(t, []string{"hidraw1"}, *asked)
}

func TestAskNodeRefusesWhatIsNotHidraw(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, pipe := filepath.Join(dir, "hidraw0"), filepath.Join(dir, "hidraw1")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	opened, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	require.NoError(t, err)
	defer unix.Close(opened)
	_, err = unix.InotifyAddWatch(opened, dir, unix.IN_OPEN)
	require.NoError(t, err)
	for _, path := range []string{"/dev/null", file, pipe, dir, filepath.Join(dir, "missing")} {
		info, ok := askNode(path)
		require.False(t, ok)
		require.Empty(t, info)
	}
	_, err = unix.Read(opened, make([]byte, 4096))
	require.ErrorIs(t, err, unix.EAGAIN, "it opened what is no device")
}

// A key that is plugged in again gets the next number from the kernel, and so is another instance in the same place.
func TestListTellsInstancesApart(t *testing.T) {
	t.Parallel()
	s := newFakeSysfs(t)
	s.add(t, 0, fakeKey(t))
	first, err := s.list()
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(s.class, "hidraw0")))
	again := s.add(t, 1, fakeKey(t))
	s.link(t, filepath.Join(again, "hidraw/hidraw1"), filepath.Join(s.class, "hidraw0"))
	require.NoError(t, os.Remove(filepath.Join(s.class, "hidraw1")))
	second, err := s.list()
	require.NoError(t, err)
	require.Equal(t, first[0].Path, second[0].Path)
	require.Equal(t, first[0].StableID, second[0].StableID)
	require.NotEqual(t, first[0].instance, second[0].instance)
}

func TestListNoPermission(t *testing.T) {
	t.Parallel()
	s := newFakeSysfs(t)
	s.add(t, 3, fakeKey(t))
	s.access = func(path string) error { return &fs.PathError{Op: "open", Path: path, Err: syscall.EACCES} }
	infos, err := s.list()
	require.NoError(t, err)
	require.Len(t, infos, 1)
	require.ErrorIs(t, infos[0].Err, fs.ErrPermission)
	require.ErrorContains(t, infos[0].Err, "hid: open "+infos[0].Path+": permission denied: install udev's rules")
	require.Equal(t, "Yubico YubiKey OTP+FIDO+CCID", infos[0].Product)
}

func TestListAccess(t *testing.T) {
	t.Parallel()
	s := newFakeSysfs(t)
	s.access = access
	s.mkdir(t, s.dev)
	for n := range 3 {
		s.add(t, n, fakeKey(t))
	}
	s.write(t, s.dev, "hidraw0", "")
	s.write(t, s.dev, "hidraw1", "")
	require.NoError(t, os.Chmod(filepath.Join(s.dev, "hidraw1"), 0o400))
	infos, err := s.list()
	require.NoError(t, err)
	require.Len(t, infos, 3)
	require.NoError(t, infos[0].Err)
	if os.Getuid() != 0 { // root may write to any file
		require.ErrorIs(t, infos[1].Err, fs.ErrPermission)
	}
	require.ErrorIs(t, infos[2].Err, fs.ErrNotExist)
	require.ErrorContains(t, infos[2].Err, "in a container, pass the device in")
}

func TestListBrokenKeyIsListedWithTheReason(t *testing.T) {
	t.Parallel()
	s := newFakeSysfs(t)
	s.add(t, 3, fakeHID{descriptor: unhex(t, keyDescriptor)[:20], uevent: yubikeyUevent})
	infos, err := s.list()
	require.NoError(t, err)
	require.Len(t, infos, 1)
	require.EqualError(t, infos[0].Err, "hid: open "+infos[0].Path+": report descriptor is truncated")
}

func TestListOnThisMachine(t *testing.T) {
	t.Parallel()
	_, err := List()
	require.NoError(t, err)
}

func FuzzUevent(f *testing.F) {
	f.Add(yubikeyUevent)
	f.Add("HID_ID=0005:DEAD096E:00000858\nHID_NAME=HID 096e:0858\nHID_UNIQ==\x1b\n")
	f.Add("HID_ID=::\nHID_ID\n=\n")
	f.Add("HID_ID=0005:DEAD096E:00000858\nHID_NAME=HID 096e:\x03\x030858") // the kernel's own name, once it is clean
	f.Fuzz(func(t *testing.T, uevent string) {
		var info Info
		port := info.setUevent(uevent)
		require.NotContains(t, port, "\n")
		bus, known := map[Bus]int{BusUSB: 3, BusBluetooth: 5, BusVirtual: 6}[info.Bus]
		if !known {
			return
		}
		var again Info
		again.setUevent(fmt.Sprintf("HID_ID=%04X:%08X:%08X\nHID_NAME=%s\nHID_UNIQ=%s\n",
			bus, info.VendorID, info.ProductID, info.Product, info.Serial))
		require.Equal(t, info, again)
	})
}

func BenchmarkList(b *testing.B) {
	s := newFakeSysfs(b)
	for n := range 63 {
		s.add(b, n, fakeHID{descriptor: unhex(b, bootKeyboard), uevent: yubikeyUevent, usb: map[string]string{}})
	}
	key := fakeKey(b)
	key.usb = map[string]string{"manufacturer": "Yubico\n", "product": "YubiKey\n", "serial": "1\n"}
	s.add(b, 63, key)
	b.ReportAllocs()
	for b.Loop() {
		if infos, err := s.list(); err != nil || len(infos) != 1 {
			b.Fatal(infos, err)
		}
	}
}
