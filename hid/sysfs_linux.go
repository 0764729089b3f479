package hid

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// sysfs is where the kernel tells about its hidraw nodes.
type sysfs struct {
	class  string                  // directory with one entry for each node
	dev    string                  // directory with the nodes
	access func(path string) error // whether a node may be opened for reading and writing
}

func list() ([]Info, error) { return sysfs{"/sys/class/hidraw", "/dev", access}.list() }

// access uses the real user ID. The effective one would be right for setuid programs, but kernels before 5.8 can't
// check it, and the emulation doesn't know the ACLs with which udev lets users at their keys.
func access(path string) error {
	if err := unix.Access(path, unix.R_OK|unix.W_OK); err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return nil
}

func (s sysfs) list() ([]Info, error) {
	names, err := s.nodes()
	if err != nil {
		return nil, fmt.Errorf("hid: list: %w", err)
	}
	var infos []Info
	for _, name := range names {
		if info, ok := s.info(name); ok {
			infos = append(infos, info)
		}
	}
	return infos, nil
}

// nodes returns the names of all nodes by number: hidraw2 is before hidraw10.
func (s sysfs) nodes() ([]string, error) {
	entries, err := os.ReadDir(s.class)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // the kernel has seen no HID device yet
	}
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
	})
	return names, nil
}

// info describes a node. ok is false if it isn't a FIDO interface, or nobody can tell because it has just vanished.
func (s sysfs) info(name string) (info Info, ok bool) {
	device := filepath.Join(s.class, name, "device")
	desc, err := readFile(device, "report_descriptor")
	if err != nil {
		return Info{}, false
	}
	_, isFIDO, err := parseDescriptor(desc)
	if !isFIDO {
		return Info{}, false
	}
	info.Path = filepath.Join(s.dev, name)
	if err != nil {
		info.Err = fmt.Errorf("hid: open %s: %w", info.Path, err)
	} else if err := s.access(info.Path); err != nil {
		info.Err = explainOpen(err)
	}
	uevent, _ := readFile(device, "uevent") // a key without a name is still a key
	info.setUevent(string(uevent))
	info.setUSBNames(device)
	return info, true
}

// setUevent takes the IDs and names from the uevent file of a HID device. The first line of each kind counts: the
// kernel puts HID_ID first, and a name with a line break in it can't replace it.
func (i *Info) setUevent(uevent string) {
	values := make(map[string]string)
	for line := range strings.Lines(uevent) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if _, dup := values[key]; !dup {
			values[key] = value
		}
	}
	i.setID(values["HID_ID"])
	i.setNames(values["HID_NAME"], values["HID_UNIQ"])
}

// setID parses "0003:00001050:00000407": bus, vendor and product. An emulated device may use all 32 bits of them;
// like the kernel's own HIDIOCGRAWINFO, this keeps 16.
func (i *Info) setID(id string) {
	var numbers [3]uint32
	parts := strings.Split(id, ":")
	if len(parts) != len(numbers) {
		return
	}
	for n, part := range parts {
		v, err := strconv.ParseUint(part, 16, 32)
		if err != nil {
			return
		}
		numbers[n] = uint32(v)
	}
	i.Bus, i.VendorID, i.ProductID = linuxBus(numbers[0]), uint16(numbers[1]), uint16(numbers[2])
}

func linuxBus(bus uint32) Bus {
	switch bus { // BUS_* of linux/input.h
	case 0x03:
		return BusUSB
	case 0x05:
		return BusBluetooth
	case 0x06:
		return BusVirtual
	}
	return BusUnknown
}

// setNames takes the kernel's own name for a HID device, which is manufacturer and product in one. For a USB device
// without names the kernel makes one up; that is nothing to tell.
func (i *Info) setNames(name, serial string) {
	if name = cleanName(name); name != fmt.Sprintf("HID %04x:%04x", i.VendorID, i.ProductID) {
		i.Product = name
	}
	i.Serial = cleanName(serial)
}

// setUSBNames takes the names from the USB device that a HID device belongs to, if it does: its parent is the USB
// interface, its grandparent the USB device. Looking further up would find the radio that a Bluetooth key talks to.
func (i *Info) setUSBNames(device string) {
	dir, err := filepath.EvalSymlinks(device)
	if err != nil {
		return
	}
	iface := filepath.Dir(dir)
	if _, err := os.Stat(filepath.Join(iface, "bInterfaceNumber")); err != nil {
		return
	}
	usb := filepath.Dir(iface)
	manufacturer, product := readName(usb, "manufacturer"), readName(usb, "product")
	if manufacturer != "" || product != "" {
		i.Manufacturer, i.Product = manufacturer, product
	}
	i.Serial = cmp.Or(readName(usb, "serial"), i.Serial)
}

func readName(dir, name string) string {
	b, _ := readFile(dir, name)
	return cleanName(string(b))
}

// readFile reads a file of sysfs, none of which is longer than a page; what follows is cut off.
func readFile(dir, name string) ([]byte, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxSysfsFile))
}

// maxSysfsFile is more than the longest descriptor, so that one that is too long isn't taken for one that is not.
const maxSysfsFile = maxDescriptor + 1
