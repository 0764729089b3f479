package hid

import (
	"fmt"
	"strings"
	"unicode"
)

// Info describes one HID interface with a FIDO collection. The names come from the device and can't be trusted;
// they are valid UTF-8 of at most 128 characters without control or other invisible characters, and empty where the
// system gives none.
type Info struct {
	Path         string // what Open takes: "/dev/hidraw3", "ioreg://0x1000002ff", "unix:/run/key.sock"
	Bus          Bus
	VendorID     uint16 // 0 if unknown
	ProductID    uint16 // 0 if unknown
	Manufacturer string // "Yubico"
	Product      string // "YubiKey FIDO+CCID"; holds both names where the system doesn't keep them apart
	Serial       string // what the USB or Bluetooth stack calls the serial number; most keys give none

	// StableID is the same when the key is pulled and plugged in again, where the system gives something to tell it by;
	// else it is empty. It begins with "serial:" if it is made of the serial number, and so holds in any port; some makers
	// give all their keys the same one. It begins with "port:" if it is made of the place where the key is plugged in, and
	// so holds for any key of the same model there. It is to be compared, not to be taken apart.
	StableID string

	// instance tells apart what has the same Path one after the other: it is another one each time a key is plugged in.
	// It is empty where the system has no such thing.
	instance string

	// Err says why the interface can't be opened, as far as [List] can tell without opening it: it wraps
	// [io/fs.ErrPermission] or [io/fs.ErrNotExist], names the node and says what to do. Nil is no promise.
	Err error
}

// String describes the interface to people: "Yubico YubiKey FIDO+CCID (/dev/hidraw3)".
func (i Info) String() string {
	name := i.name()
	switch {
	case name == "":
		return i.Path
	case i.Path == "":
		return name
	}
	return name + " (" + i.Path + ")"
}

func (i Info) name() string {
	switch {
	case i.Manufacturer != "" && !strings.HasPrefix(i.Product, i.Manufacturer):
		return strings.TrimSpace(i.Manufacturer + " " + i.Product)
	case i.Product != "":
		return i.Product
	case i.VendorID != 0 || i.ProductID != 0:
		return fmt.Sprintf("%04x:%04x", i.VendorID, i.ProductID)
	}
	return ""
}

// setStableID makes a StableID of the serial number or else of the port, which is whatever the system calls it.
func (i *Info) setStableID(port string) {
	kind, id := "serial", i.Serial
	if id == "" {
		kind, id = "port", cleanName(port)
	}
	if id != "" {
		i.StableID = fmt.Sprintf("%s:%04x:%04x:%s", kind, i.VendorID, i.ProductID, id)
	}
}

// Bus is what a key hangs on. It is what the system says; an emulated key can claim to be on any bus.
type Bus uint8

// The zero Bus is one that this package has no name for.
const (
	BusUnknown   Bus = iota
	BusUSB           // a USB port
	BusBluetooth     // Bluetooth HID, not FIDO's own Bluetooth transport
	BusVirtual       // a device that the kernel knows to be emulated
	BusUnix          // a Unix-domain socket
)

// String returns the name of the bus in lower case.
func (b Bus) String() string {
	switch b {
	case BusUSB:
		return "usb"
	case BusBluetooth:
		return "bluetooth"
	case BusVirtual:
		return "virtual"
	case BusUnix:
		return "unix"
	}
	return "unknown"
}

// maxName bounds a name in characters. A USB string descriptor holds 126 UTF-16 units, a Linux HID name 127 bytes.
const maxName = 128

// cleanName makes a device's name for itself safe to print: a terminal must not obey it, and a line must stay a
// line.
func cleanName(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if r := []rune(s); len(r) > maxName {
		s = string(r[:maxName])
	}
	return strings.TrimSpace(s)
}
