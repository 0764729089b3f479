// Package hid finds and opens the FIDO interfaces of security keys. It is pure Go and needs neither cgo nor udev.
//
// Call [List] to see which keys there are, or [Watch] to see them come and go, and [Open] with the Path of one of them. A
// [Device] moves whole reports: one per Read, one per Write. What the reports mean is the business of package ctaphid.
//
// A path of the form unix:/path/to.sock opens a SOCK_SEQPACKET Unix-domain socket instead of a device node, with
// one 64-byte report per packet both ways, so that a forwarded or an emulated key is a device like any other.
package hid

import (
	"errors"
	"strings"
)

// ErrRemoved is wrapped by the errors of [Device.Read] and [Device.Write] once the key has been unplugged or the
// peer of a Unix-domain socket has gone. The Device is of no further use; Close it.
var ErrRemoved = errors.New("key removed")

// ErrBusy is wrapped by the error of [Open] when another program is using the key. The error names it where the
// system tells who it is.
var ErrBusy = errors.New("key busy")

// List returns the HID interfaces with a FIDO collection (CTAP 2.2, section 11.2.8.2), in the order in which the
// system numbered them. Having no key is an empty list and no error. One interface that is broken, vanishing or not
// accessible hides none of the others; where a FIDO interface can't be opened, its Err says why.
//
// List opens no device, so it neither disturbs a key nor needs permission to use it. (Where Linux's sysfs is hidden, as
// in some containers, it has to open the nodes that it may read, for a moment, and finds no others. The BSDs give no
// other way: List misses a key there that another program has open and that this one has never seen before, and, unless
// its node is in /dev/u2f, a key that the caller may not open.) It knows nothing about Unix-domain sockets. The error
// wraps [errors.ErrUnsupported] on systems that this package has no backend for.
func List() ([]Info, error) { return list() }

// Open opens the interface at path, which is the Path of an [Info] or "unix:" followed by the path of a socket. It
// refuses what isn't a FIDO interface.
//
// On Linux, Open takes the advisory lock on the node that libfido2 takes, too, and holds it until Close, so that programs
// use a key in turn. It waits for its turn for up to 1.3 seconds, and then the error wraps [ErrBusy]; opening a key twice
// in the same program is no exception. Programs that know of no lock, such as browsers, can use the key all the same.
// The BSDs let only one program at a time have a key open, and Open waits for 0.1 seconds. macOS and Windows let any
// number of them, but one can seize a key.
//
// Windows keeps FIDO keys for administrators, since Windows 10 1903: others can List and Watch them, with an Err.
//
// The error wraps [io/fs.ErrNotExist] if there is no such node or socket, [io/fs.ErrPermission] if the caller may
// not use it (the text then says what to do), and [errors.ErrUnsupported] on systems that this package has no
// backend for.
func Open(path string) (*Device, error) {
	if socket, ok := strings.CutPrefix(path, unixPrefix); ok {
		return openUnix(socket)
	}
	return open(path)
}
