package hid

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

var freebsd = &bsd{
	candidates: freebsdCandidates,
	openNode:   openCharDevice,
	describe:   describeFreeBSD,
	permission: "have root add you to the group u2f (pw groupmod u2f -m YOU) and log in again; " +
		"where there is no /dev/u2f, have root write a devfs rule for uhid* and hidraw*",
}

func list() ([]Info, error) { return freebsd.list() }

func open(path string) (*Device, error) { return freebsd.open(path) }

func changes(ctx context.Context) (<-chan struct{}, error) {
	return devdChanges(ctx, "/var/run/devd.seqpacket.pipe"), nil
}

func freebsdCandidates() ([]candidate, error) {
	keys, err := globNodes(true, "/dev/u2f/*")
	others, err2 := globNodes(false, "/dev/uhid[0-9]*", "/dev/hidraw[0-9]*")
	return withoutTwins(append(keys, others...), func(name string) string {
		parent, _ := unix.Sysctl(name) // old uhid(4) has another kind of parent, and a jail has no such sysctl
		return parent
	}), errors.Join(err, err2)
}

// describeFreeBSD uses what u2f(4), uhid(4) and hidraw(4) have in common. It makes hidraw frame reports as uhid does.
func describeFreeBSD(fd int) (Info, reports, error) {
	desc, err := freebsdDescriptor(fd)
	if err != nil {
		return Info{}, reports{}, fmt.Errorf("report descriptor: %w", err)
	}
	r, _, err := parseDescriptor(desc)
	if err != nil {
		return Info{}, reports{}, err
	}
	info, err := freebsdDeviceInfo.read(fd)
	if err != nil {
		info = hidrawInfo(fd)
	}
	var st unix.Stat_t
	if unix.Fstat(fd, &st) == nil {
		info.instance = strconv.FormatInt(st.Ctim.Nano(), 10) // when the driver made the node
	}
	return info, r, nil
}

func freebsdDescriptor(fd int) ([]byte, error) {
	b := make([]byte, maxDescriptor)
	arg := usbGenDescriptor{data: &b[0], maxLen: maxDescriptor}
	err := freebsdReportDesc.do(fd, unsafe.Pointer(&arg))
	runtime.KeepAlive(&arg)
	return b[:min(int(arg.actLen), len(b))], err
}

// hidrawInfo asks hidraw(4), which knows no USB. It has the names of manufacturer and product in one.
func hidrawInfo(fd int) Info {
	var info Info
	var raw [8]byte
	if freebsdRawInfo.do(fd, unsafe.Pointer(&raw)) == nil {
		info.setRawInfo(raw)
	}
	info.Product, info.Serial = hidrawText(fd, freebsdRawName), hidrawText(fd, freebsdRawUniq)
	info.setStableID("")
	return info
}

func hidrawText(fd int, req ioctl) string {
	var b [rawName]byte
	if req.do(fd, unsafe.Pointer(&b)) != nil {
		return ""
	}
	return cString(b[:])
}
