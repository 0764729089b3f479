package hid

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/windows"
)

// windowsRemoved is what the HID class driver says when the key is gone. An aborted operation is one that it ended
// itself: those that end by Close or for lack of time have other errors. Access is denied to what is about to be deleted;
// rights are checked when a file is opened, and no more.
var windowsRemoved = []error{
	windows.ERROR_DEVICE_NOT_CONNECTED, windows.ERROR_GEN_FAILURE, windows.ERROR_OPERATION_ABORTED,
	windows.ERROR_DEVICE_REMOVED, windows.ERROR_NO_SUCH_DEVICE, windows.ERROR_ACCESS_DENIED,
}

// inputBuffers is how many reports Windows keeps for a reader that is late: more than the 129 of the longest message.
// Without a word it keeps 32 and drops the rest.
const inputBuffers = 256

func list() ([]Info, error) {
	nodes, err := hidNodes()
	if err != nil {
		return nil, fmt.Errorf("hid: list: %w", err)
	}
	var infos []Info
	for _, n := range nodes {
		if info, ok := n.info(); ok {
			infos = append(infos, info)
		}
	}
	return infos, nil
}

func open(path string) (*Device, error) {
	n, err := findNode(path)
	if err != nil {
		return nil, explainOpen(path, err)
	}
	b, err := n.describe()
	if err == nil {
		b.conn, err = connect(n.path, b.reports)
	}
	if err != nil {
		return nil, explainOpen(path, cause(err))
	}
	return newDevice(b), nil
}

// findNode opens nothing but what is a HID interface.
func findNode(path string) (hidNode, error) {
	nodes, err := hidNodes()
	if err != nil {
		return hidNode{}, err
	}
	for _, n := range nodes {
		if strings.EqualFold(n.path, path) {
			return n, nil
		}
	}
	return hidNode{}, windows.ERROR_FILE_NOT_FOUND
}

// info describes an interface. ok is false if it isn't a FIDO interface or nobody can tell. One that can't be looked at
// is still known by its hardware IDs.
func (n hidNode) info() (info Info, ok bool) {
	b, err := n.describe()
	switch {
	case err == nil:
		b.info.Err = refusal(n.path)
		return b.info, true
	case errors.Is(err, errNotFIDO) || !isFIDOHardware(n.hardwareIDs()):
		return Info{}, false
	}
	info = Info{Path: n.path, Err: explainOpen(n.path, err)}
	info.VendorID, info.ProductID = instanceNumbers(n.instanceID)
	n.addTo(&info)
	return info, true
}

// describe opens the interface without the right to read or write, which Windows gives everybody and no device notices.
func (n hidNode) describe() (backend, error) {
	path, err := windows.UTF16PtrFromString(n.path)
	if err != nil {
		return backend{}, err
	}
	const share = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE
	h, err := windows.CreateFile(path, 0, share, nil, windows.OPEN_EXISTING, 0, 0)
	if err != nil {
		return backend{}, err
	}
	defer windows.CloseHandle(h)
	b := backend{removed: windowsRemoved, alwaysNumbered: true}
	if b.reports, err = readReports(h); err != nil {
		return backend{}, err
	}
	b.info = readInfo(h)
	b.info.Path = n.path
	n.addTo(&b.info)
	return b, nil
}

// addTo adds what Windows knows of an interface without asking it.
func (n hidNode) addTo(info *Info) {
	info.Bus = instanceBus(n.parent())
	info.instance = n.arrival()
	info.setStableID(n.instanceID)
}

// connect opens the interface for reading and for writing. Overlapped files wait in the runtime's completion port: Close
// interrupts them, and an idle key costs neither a thread nor a wake-up.
func connect(path string, r reports) (*windowsConn, error) {
	in, err := os.OpenFile(path, os.O_RDWR|windows.FILE_FLAG_OVERLAPPED, 0)
	if err != nil {
		return nil, err
	}
	if err := setInputBuffers(in); err != nil {
		in.Close()
		return nil, fmt.Errorf("input buffers: %w", err)
	}
	out, err := os.OpenFile(path, os.O_WRONLY|windows.FILE_FLAG_OVERLAPPED, 0)
	if err != nil {
		in.Close()
		return nil, err
	}
	return newWindowsConn(in, out, r), nil
}

func setInputBuffers(f *os.File) error {
	rc, err := f.SyscallConn()
	if err != nil {
		return err
	}
	controlErr := rc.Control(func(h uintptr) {
		err = hidBool(procSetNumInputBuffers, h, inputBuffers)
	})
	return errors.Join(controlErr, err)
}

// refusal is the error with which Windows will refuse to open a FIDO interface, as far as that is certain.
func refusal(path string) error {
	_, _, build := windows.RtlGetNtVersionNumbers()
	if !refusesFIDO(build, windows.GetCurrentProcessToken().IsElevated()) {
		return nil
	}
	return explainOpen(path, windows.ERROR_ACCESS_DENIED)
}

// explainOpen adds what to do about an error that opening an interface gave or would give.
func explainOpen(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		err = fmt.Errorf("%w: Windows keeps FIDO keys for administrators: run this program as administrator", err)
	case errors.Is(err, fs.ErrNotExist):
		err = fmt.Errorf("%w: plug the key in", err)
	case errors.Is(err, windows.ERROR_SHARING_VIOLATION):
		err = fmt.Errorf("%w: %w: close the program that uses it", ErrBusy, err)
	}
	return fmt.Errorf("hid: open %s: %w", path, err)
}
