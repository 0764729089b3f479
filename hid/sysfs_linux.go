package hid

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
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

	ask func(path string) (info Info, ok bool) // what a node tells that the kernel hides
}

func list() ([]Info, error) { return sysfs{"/sys/class/hidraw", "/dev", access, askNode}.list() }

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

// nodes returns the names of all nodes by number: hidraw2 is before hidraw10. Where sysfs has none, which is where there
// is no HID device or sysfs is hidden, it is those in dev.
func (s sysfs) nodes() ([]string, error) {
	names, err := readNodes(s.class)
	if len(names) == 0 {
		var devErr error
		if names, devErr = readNodes(s.dev); devErr == nil {
			err = nil
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
	})
	return names, err
}

// readNodes returns the names in a folder that are those of nodes. A folder that isn't there has none.
func readNodes(folder string) ([]string, error) {
	f, err := os.Open(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	return slices.DeleteFunc(names, func(name string) bool { return !isNode(name) }), err
}

// isNode says that a name is one that the kernel gives to a hidraw node.
func isNode(name string) bool {
	number, ok := strings.CutPrefix(name, "hidraw")
	return ok && number != "" && strings.Trim(number, "0123456789") == ""
}

// info describes a node. ok is false if it isn't a FIDO interface, or nobody can tell because it is vanishing: while the
// kernel takes a device apart, it has no names first, then no node, and then there is no device.
func (s sysfs) info(name string) (info Info, ok bool) {
	device, path := s.class+"/"+name+"/device", s.dev+"/"+name
	desc, err := readFile(device, "report_descriptor")
	if err != nil {
		info, ok = s.ask(path)
	} else {
		info, ok = describeDevice(device, path, desc)
	}
	if !ok || info.Err != nil {
		return info, ok
	}
	if err := s.access(path); err != nil {
		info.Err = explainOpen(err)
	}
	return info, true
}

// describeDevice describes a node from the folder of its HID device.
func describeDevice(device, path string, descriptor []byte) (info Info, ok bool) {
	_, isFIDO, parseErr := parseDescriptor(descriptor)
	if !isFIDO {
		return Info{}, false
	}
	uevent, err := readFile(device, "uevent")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return Info{}, false
	}
	info.Path = path
	if parseErr != nil {
		info.Err = fmt.Errorf("hid: open %s: %w", path, parseErr)
	}
	port := info.setUevent(string(uevent)) // may be none: a key without a name is still a key
	info.setUSBNames(device)
	info.setPort(port)
	info.instance = instance(device)
	return info, info.instance != ""
}

// setUevent takes the IDs and names from the uevent file of a HID device. The first line of each kind counts: the
// kernel puts HID_ID first, and a name with a line break in it can't replace it. It returns what setPort wants.
func (i *Info) setUevent(uevent string) (port string) {
	values := make(map[string]string)
	for line := range strings.Lines(uevent) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if _, dup := values[key]; !dup {
			values[key] = value
		}
	}
	i.setID(values["HID_ID"])
	i.setNames(values["HID_NAME"], values["HID_UNIQ"])
	return values["HID_PHYS"]
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
//
// device is a link into the tree of devices, so the kernel has to take the steps up; package filepath would take the
// link for a folder.
func (i *Info) setUSBNames(device string) {
	iface, usb := device+"/..", device+"/../.."
	if _, err := os.Stat(iface + "/bInterfaceNumber"); err != nil {
		return
	}
	manufacturer, product := readName(usb, "manufacturer"), readName(usb, "product")
	if manufacturer != "" || product != "" {
		i.Manufacturer, i.Product = manufacturer, product
	}
	i.Serial = cmp.Or(readName(usb, "serial"), i.Serial)
}

// setPort sets the StableID once the serial number is known. Only on USB is a HID device's place one that a key is
// plugged into: Bluetooth keys have the address of the radio there, and have one of their own for a serial number.
func (i *Info) setPort(port string) {
	if i.Bus != BusUSB {
		port = ""
	}
	i.setStableID(port)
}

func readName(dir, name string) string {
	b, _ := readFile(dir, name)
	return cleanName(string(b))
}

// readFile reads a file of sysfs, none of which is longer than a page; what follows is cut off. Less than a page is all
// that there is. Package os would ask the kernel twice as often, for each of the nodes.
func readFile(dir, name string) ([]byte, error) {
	fd, err := unix.Open(dir+"/"+name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	b := make([]byte, maxSysfsFile)
	n, err := unix.Read(fd, b)
	if err == nil && n == maxDescriptor {
		var more int
		more, err = unix.Read(fd, b[n:])
		n += more
	}
	if err != nil {
		return nil, err
	}
	return b[:n], nil
}

// maxSysfsFile is more than the longest descriptor, so that one that is too long isn't taken for one that is not.
const maxSysfsFile = maxDescriptor + 1
