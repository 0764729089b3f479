package usbip

import (
	"encoding/binary"
	"unicode/utf16"
)

// The standard requests and descriptor types of USB 2.0, chapter 9.4, and of HID 1.11, chapter 7.
const (
	requestGetStatus        = 0x00
	requestClearFeature     = 0x01
	requestGetDescriptor    = 0x06
	requestSetConfiguration = 0x09
	requestSetIdle          = 0x0a // HID class
	requestSetInterface     = 0x0b

	descriptorDevice        = 0x01
	descriptorConfiguration = 0x02
	descriptorString        = 0x03
	descriptorInterface     = 0x04
	descriptorEndpoint      = 0x05
	descriptorHID           = 0x21
	descriptorReport        = 0x22
)

// bInterval of both endpoints in frames of 1 ms. Security keys on the market say 2 to 5.
const interval = 5

// fidoDescriptor is the report descriptor of CTAP 2.2, section 11.2.8.2: usage page 0xF1D0, 64 bytes each way.
var fidoDescriptor = []byte{
	0x06, 0xd0, 0xf1, 0x09, 0x01, 0xa1, 0x01,
	0x09, 0x20, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08, 0x95, ReportSize, 0x81, 0x02,
	0x09, 0x21, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08, 0x95, ReportSize, 0x91, 0x02,
	0xc0,
}

// control answers a request to endpoint 0; ok is false for what the device does not know, which stalls.
func (c Config) control(setup [8]byte) (data []byte, ok bool) {
	kind, request, value := setup[0], setup[1], binary.LittleEndian.Uint16(setup[2:])
	switch [2]byte{kind, request} {
	case [2]byte{0x80, requestGetDescriptor}, [2]byte{0x81, requestGetDescriptor}:
		return c.descriptor(byte(value>>8), byte(value))
	case [2]byte{0x80, requestGetStatus}:
		return []byte{0, 0}, true
	case [2]byte{0x00, requestSetConfiguration},
		[2]byte{0x01, requestSetInterface},
		[2]byte{0x02, requestClearFeature}, // ENDPOINT_HALT
		[2]byte{0x21, requestSetIdle}:
		return nil, true
	}
	return nil, false
}

func (c Config) descriptor(kind, index byte) (data []byte, ok bool) {
	switch kind {
	case descriptorDevice:
		return c.device(), true
	case descriptorConfiguration:
		return c.configuration(), true
	case descriptorString:
		return c.string(index)
	case descriptorHID:
		return c.hid(), true
	case descriptorReport:
		return c.Descriptor, true
	}
	return nil, false
}

func (c Config) device() []byte {
	le := binary.LittleEndian
	b := []byte{18, descriptorDevice, 0x00, 0x02, 0, 0, 0, ReportSize}
	b = le.AppendUint16(b, c.VendorID)
	b = le.AppendUint16(b, c.ProductID)
	b = le.AppendUint16(b, 0x0100) // bcdDevice
	for i, name := range c.names() {
		if name == "" {
			b = append(b, 0)
		} else {
			b = append(b, byte(i+1))
		}
	}
	return append(b, 1) // bNumConfigurations
}

// configuration is the one configuration with its one interface, class HID, and two interrupt endpoints.
func (c Config) configuration() []byte {
	b := []byte{
		9, descriptorConfiguration, 0, 0, 1, 1, 0, 0x80, 50,
		9, descriptorInterface, 0, 0, 2, 3, 0, 0, 0,
	}
	b = append(b, c.hid()...)
	b = append(b, 7, descriptorEndpoint, 0x80|interruptEndpoint, 3, ReportSize, 0, interval)
	b = append(b, 7, descriptorEndpoint, interruptEndpoint, 3, ReportSize, 0, interval)
	b[2] = byte(len(b))
	return b
}

func (c Config) hid() []byte {
	b := []byte{9, descriptorHID, 0x11, 0x01, 0, 1, descriptorReport}
	return binary.LittleEndian.AppendUint16(b, uint16(len(c.Descriptor)))
}

func (c Config) names() [3]string { return [3]string{c.Manufacturer, c.Product, c.Serial} }

func (c Config) string(index byte) (data []byte, ok bool) {
	if index == 0 {
		return []byte{4, descriptorString, 0x09, 0x04}, true // the languages: US English
	}
	names := c.names()
	if int(index) > len(names) || names[index-1] == "" {
		return nil, false
	}
	units := utf16.Encode([]rune(names[index-1]))
	b := []byte{0, descriptorString}
	for _, unit := range units[:min(len(units), 126)] { // bLength is one byte
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	b[0] = byte(len(b))
	return b, true
}
