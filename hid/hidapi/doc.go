// Package hidapi finds, opens and watches security keys as package hid does, but by way of the C library HIDAPI
// (github.com/sstallion/go-hid), which is part of it in source. It is for programs that already depend on HIDAPI, or for
// systems where package hid fails to do its work; no other package of keyfob imports it.
//
// It needs cgo, a C compiler and, on Linux, libudev (Debian: libudev-dev), and is empty unless the program is built with
//
//	CGO_ENABLED=1 go build -tags hidapi
//
// A program selects it where it makes its client:
//
//	client := &authenticator.Client{Watch: hidapi.Watch, Open: hidapi.Open}
//
// # What is different
//
//   - HIDAPI can't be interrupted. While a Read waits, a thread waits with it, which looks up four times a second and so
//     costs an idle program some 20 wake-ups; and Close waits for that, for as long as the key has been silent but at most
//     for 256 milliseconds.
//   - There is no lock: programs that take turns by the lock on the node, such as those that use libfido2 or package hid, and
//     programs that use this package disturb each other.
//   - Reports that a key sent at the moment when it was pulled may be lost.
//   - On Linux, sysfs must be visible, and what the kernel knows to be an emulated device ([hid.BusVirtual]) isn't found.
//   - There is no StableID made of the port.
//
// The tests run on Linux, against the kernel's hidraw over USB/IP in a virtual machine. On macOS, Windows and FreeBSD it has
// never been run.
package hidapi
