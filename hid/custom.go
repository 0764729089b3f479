package hid

import (
	"context"
	"fmt"
	"io"
)

// This file is for those who bring a way of their own to find keys and to move reports, as package hidapi does.

// NewDevice makes a Device of something that moves the reports of a FIDO interface. info is what [Device.Info] returns;
// descriptor is the HID report descriptor, of at most 4096 bytes, and is not kept. What has no FIDO collection is refused.
//
// conn moves one whole report per call, as Linux hidraw and HIDAPI do: Read puts the report number first if the device
// numbers its reports, and Write gets it first in any case, 0 where there is none. Read and Write are each called by one
// goroutine at a time, and Close once, at any time: it must make both return. Errors that mean that the key is gone must
// wrap [ErrRemoved]. The Device owns conn unless there is an error.
func NewDevice(conn io.ReadWriteCloser, info Info, descriptor []byte) (*Device, error) {
	r, _, err := parseDescriptor(descriptor)
	if err != nil {
		return nil, fmt.Errorf("hid: open %s: %w", info.Path, err)
	}
	info.Err = nil
	return newDevice(backend{conn: conn, info: info, reports: r, alwaysNumbered: true}), nil
}

// WatchList is [Watch] with another list than [List]. list is called before WatchList returns and then, by one goroutine at
// a time, whenever any HID interface may have come, gone or changed. Interfaces are told apart by their paths, so one that
// has the path of another since the last call is the same. An error of the first call is WatchList's own; after others, list
// is called again a second later.
func WatchList(ctx context.Context, list func() ([]Info, error)) (present []Info, events <-chan Event, err error) {
	return watch(ctx, list, changes)
}

// Clean returns i with the names made safe, as [Info] promises them, and with the StableID that the serial number gives.
func (i Info) Clean() Info {
	i.Manufacturer, i.Product, i.Serial = cleanName(i.Manufacturer), cleanName(i.Product), cleanName(i.Serial)
	i.StableID = ""
	i.setStableID("")
	return i
}
