//go:build hidapi && cgo

package hidapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"

	hidapi "github.com/sstallion/go-hid"

	"github.com/keyfob-go/keyfob/hid"
)

// What HIDAPI calls the FIDO collection: CTAP 2.2, section 11.2.8.2.
const (
	fidoPage  = 0xF1D0
	fidoUsage = 1
)

const maxDescriptor = 4096 // bytes; HIDAPI has the same limit

// process guards what HIDAPI has once for the whole process, which is the reason why opening a device failed.
var process sync.Mutex

// List is [hid.List] by way of HIDAPI. It may be called concurrently.
func List() ([]hid.Info, error) {
	infos, err := enumerate(func(d *hidapi.DeviceInfo) bool { return d.UsagePage == fidoPage && d.Usage == fidoUsage })
	if err != nil {
		return nil, fmt.Errorf("hidapi: list: %w", err)
	}
	for n := range infos {
		if err := access(infos[n].Path); err != nil {
			infos[n].Err = explainOpen(infos[n].Path, err)
		}
	}
	return infos, nil
}

// Watch is [hid.Watch] with the keys that [List] finds. It learns from the system, not from HIDAPI, when to look.
func Watch(ctx context.Context) (present []hid.Info, events <-chan hid.Event, err error) {
	return hid.WatchList(ctx, List)
}

// Open opens the interface at path, which is the Path of an [hid.Info] from [List] or [Watch]. What it returns is a
// *[hid.Device], which does what its documentation says but for what that of this package says. Open refuses what isn't a
// FIDO interface.
//
// The error wraps [fs.ErrNotExist] if there is no such interface and [fs.ErrPermission] if the caller may not use it.
func Open(path string) (io.ReadWriteCloser, error) {
	infos, err := enumerate(func(d *hidapi.DeviceInfo) bool { return d.Path == path })
	if err == nil && len(infos) == 0 {
		err = fs.ErrNotExist // HIDAPI would open any file
	}
	if err != nil {
		return nil, explainOpen(path, err)
	}
	c, err := connect(path)
	if err != nil {
		return nil, explainOpen(path, err)
	}
	d, err := c.device(infos[0])
	if err != nil {
		c.Close()
		return nil, err
	}
	return d, nil
}

// enumerate describes the wanted interfaces, each once: HIDAPI lists one for each of its collections.
func enumerate(wanted func(*hidapi.DeviceInfo) bool) (infos []hid.Info, err error) {
	process.Lock()
	defer process.Unlock()
	err = hidapi.Enumerate(hidapi.VendorIDAny, hidapi.ProductIDAny, func(d *hidapi.DeviceInfo) error {
		if d.Path != "" && wanted(d) && !hasPath(infos, d.Path) {
			infos = append(infos, describe(d))
		}
		return nil
	})
	return infos, err
}

func hasPath(infos []hid.Info, path string) bool {
	return slices.ContainsFunc(infos, func(i hid.Info) bool { return i.Path == path })
}

func describe(d *hidapi.DeviceInfo) hid.Info {
	return hid.Info{
		Path: d.Path, Bus: busOf(d.BusType), VendorID: d.VendorID, ProductID: d.ProductID,
		Manufacturer: d.MfrStr, Product: d.ProductStr, Serial: d.SerialNbr,
	}.Clean()
}

func busOf(b hidapi.BusType) hid.Bus {
	switch b {
	case hidapi.BusUSB:
		return hid.BusUSB
	case hidapi.BusBluetooth:
		return hid.BusBluetooth
	}
	return hid.BusUnknown
}

// explainOpen adds what to do about an error that opening an interface gave or would give.
func explainOpen(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("hidapi: open %s: %w: give the user access to the key (on Linux with udev rules, see "+
			"docs/permissions.md), or run as administrator", path, err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("hidapi: open %s: %w: plug the key in", path, err)
	}
	return fmt.Errorf("hidapi: open %s: %w", path, err)
}

// reasons is what the texts of HIDAPI, which has no other errors, mean. Those of the C library are in English, since no Go
// program sets the locale of messages.
var reasons = []struct {
	text string
	err  error
}{
	{"permission denied", fs.ErrPermission},
	{"operation not permitted", fs.ErrPermission},
	{"access is denied", fs.ErrPermission},
	{"0xe00002e2", fs.ErrPermission}, // kIOReturnNotPermitted
	{"no such file or directory", fs.ErrNotExist},
	{"no such device", fs.ErrNotExist},
}

// openError turns the text of an error of opening path into something to tell errors by.
func openError(path string, err error) error {
	text := strings.ToLower(strings.ReplaceAll(err.Error(), path, ""))
	for _, r := range reasons {
		if strings.Contains(text, r.text) {
			return r.err
		}
	}
	return err
}
