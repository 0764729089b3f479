package usbip

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// controller is the sysfs folder of the first virtual host controller.
const controller = "/sys/devices/platform/vhci_hcd.0"

// speedFull is USB_SPEED_FULL, 12 Mbit/s: what security keys are.
const speedFull = 2

// Attach plugs a device that c describes into a free port of vhci-hcd and returns its device side. The host asks for
// its descriptors and makes the hidraw node in the background, some 500 ms later. The caller must Close the device.
// The error wraps fs.ErrNotExist when the module vhci-hcd is not loaded.
func Attach(c Config) (*Device, error) {
	if len(c.Descriptor) > maxDescriptor {
		return nil, fmt.Errorf("usbip: report descriptor of %d bytes is too long", len(c.Descriptor))
	}
	status, err := os.ReadFile(filepath.Join(controller, "status"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("usbip: attach: is the module vhci-hcd loaded? %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("usbip: attach: %w", err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("usbip: attach: socketpair: %w", err)
	}
	defer unix.Close(pair[1]) // the kernel takes a reference of its own
	unix.SetNonblock(pair[0], true)
	conn := os.NewFile(uintptr(pair[0]), "usbip")
	if err := plug(freePorts(string(status)), pair[1]); err != nil {
		conn.Close()
		return nil, fmt.Errorf("usbip: attach: %w", err)
	}
	return newDevice(c, conn), nil
}

// plug gives the socket to the first of ports that is still free.
func plug(ports []int, socket int) error {
	err := errors.New("vhci-hcd has no free port")
	for _, port := range ports {
		const deviceID = 1<<16 | 2 // bus and number of the device on the exporting side: any will do
		line := fmt.Sprintf("%d %d %d %d", port, socket, deviceID, speedFull)
		err = os.WriteFile(filepath.Join(controller, "attach"), []byte(line), 0)
		if !errors.Is(err, unix.EBUSY) {
			return err
		}
	}
	return err
}
