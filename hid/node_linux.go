package hid

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// askNode describes a node that sysfs does not tell about, by opening it for a moment. ok is false if it isn't a FIDO
// interface, or nobody can tell.
//
// Opening for reading and then only asking neither waits for the key nor sends it anything, and takes no report from
// another program: each open file has a queue of its own.
func askNode(path string) (info Info, ok bool) {
	if fi, err := os.Stat(path); err != nil || fi.Mode()&os.ModeCharDevice == 0 {
		return Info{}, false
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return Info{}, false
	}
	defer unix.Close(fd)
	_, isFIDO, err := readReports(fd)
	if !isFIDO {
		return Info{}, false
	}
	info = readInfo(fd, path)
	if err != nil {
		info.Err = fmt.Errorf("hid: open %s: %w", path, err)
	}
	return info, true
}

// readReports is parseDescriptor for an open node.
func readReports(fd int) (r reports, isFIDO bool, err error) {
	size, err := unix.IoctlGetUint32(fd, unix.HIDIOCGRDESCSIZE)
	if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) {
		return reports{}, false, errNotHidraw
	}
	if err != nil {
		return reports{}, false, fmt.Errorf("report descriptor: %w", err)
	}
	if size > maxDescriptor {
		return reports{}, false, fmt.Errorf("report descriptor of %d bytes is too long", size)
	}
	desc := unix.HIDRawReportDescriptor{Size: size}
	if err := unix.IoctlHIDGetDesc(fd, &desc); err != nil {
		return reports{}, false, fmt.Errorf("report descriptor: %w", err)
	}
	return parseDescriptor(desc.Value[:size])
}

// readInfo collects what is known about an open node. Names are a courtesy, so none of them makes opening fail.
func readInfo(fd int, path string) Info {
	info := Info{Path: path}
	if raw, err := unix.IoctlHIDGetRawInfo(fd); err == nil {
		info.Bus, info.VendorID, info.ProductID = linuxBus(raw.Bustype), uint16(raw.Vendor), uint16(raw.Product)
	}
	name, _ := unix.IoctlHIDGetRawName(fd)
	uniq, _ := unix.IoctlHIDGetRawUniq(fd) // since Linux 5.6
	phys, _ := unix.IoctlHIDGetRawPhys(fd)
	info.setNames(name, uniq)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err == nil {
		info.identify(&st)
	}
	info.setPort(phys)
	return info
}

// identify adds what sysfs has about an open node, which it finds by the device number: the path may be a link or
// have any name. Without sysfs, it is the inode of the node that differs when a key is plugged in again.
func (i *Info) identify(st *unix.Stat_t) {
	rdev := uint64(st.Rdev) // 32 bits wide on some CPUs
	device := fmt.Sprintf("/sys/dev/char/%d:%d/device", unix.Major(rdev), unix.Minor(rdev))
	i.setUSBNames(device)
	if i.instance = instance(device); i.instance == "" {
		i.instance = fmt.Sprintf("inode %d", st.Ino)
	}
}

// instance returns the kernel's name for a HID device: "0003:1050:0407.0012", of which it uses none twice.
func instance(device string) string {
	target, err := os.Readlink(device)
	if err != nil {
		return ""
	}
	return filepath.Base(target)
}
