//go:build netbsd || openbsd

package hid

import (
	"context"
	"fmt"
	"unsafe"
)

// readNode reads the reports of a uhid(4) node.
func readNode(fd int) (reports, error) {
	var number int32
	if err := uhidReportID.do(fd, unsafe.Pointer(&number)); err != nil {
		return reports{}, fmt.Errorf("report ID: %w", err)
	}
	var desc ctlReportDesc
	if err := uhidReportDesc.do(fd, unsafe.Pointer(&desc)); err != nil {
		return reports{}, fmt.Errorf("report descriptor: %w", err)
	}
	return parseNode(desc.bytes(), byte(number))
}

// changes looks every now and then: what tells of new devices is drvctl(4) or hotplug(4), which only one program can
// have open, and that is the system's own.
func changes(ctx context.Context) (<-chan struct{}, error) { return poll(ctx, pollInterval), nil }
