package hid

import (
	"errors"
	"io/fs"
)

var openbsd = &bsd{
	candidates:  func() ([]candidate, error) { return globNodes(false, "/dev/fido/*") },
	openNode:    openCharDevice,
	describe:    describeOpenBSD,
	losesToggle: true,
	permission:  "have root change the mode of the node",
}

func list() ([]Info, error) { return openbsd.list() }

func open(path string) (*Device, error) { return openbsd.open(path) }

// describeOpenBSD tells fido(4) from uhid(4): only the former keeps the descriptor from everybody but root.
func describeOpenBSD(fd int) (Info, reports, error) {
	r, err := readNode(fd)
	if errors.Is(err, fs.ErrPermission) {
		r, err = u2fReports, nil
	}
	if err != nil {
		return Info{}, reports{}, err
	}
	info, err := openbsdDeviceInfo.read(fd)
	return info, r, err
}
