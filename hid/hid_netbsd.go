package hid

import (
	"fmt"
	"unsafe"
)

var netbsd = &bsd{
	candidates:  func() ([]candidate, error) { return globNodes(false, "/dev/uhid[0-9]*") },
	openNode:    openCharDevice,
	describe:    describeNetBSD,
	losesToggle: true,
	permission:  "have root change the mode of the node",
}

func list() ([]Info, error) { return netbsd.list() }

func open(path string) (*Device, error) { return netbsd.open(path) }

func describeNetBSD(fd int) (Info, reports, error) {
	r, err := readNode(fd)
	if err != nil {
		return Info{}, reports{}, err
	}
	// Raw is how NetBSD has a key from the start. That it can be set tells that the kernel knows of it: what is written
	// goes to the key's output endpoint then, and not into a SET_REPORT, which keys refuse.
	raw := int32(1)
	if err := netbsdSetRaw.do(fd, unsafe.Pointer(&raw)); err != nil {
		return Info{}, reports{}, fmt.Errorf("raw mode, which NetBSD has since 9.1: %w", err)
	}
	info, _ := netbsdDeviceInfo.read(fd) // a key without a name is still a key
	return info, r, nil
}
