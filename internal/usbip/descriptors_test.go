package usbip

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDescriptors(t *testing.T) {
	t.Parallel()
	c := Config{
		VendorID: 0x1209, ProductID: 0xf1d0,
		Manufacturer: strings.Repeat("long", 50), Product: "kéy",
		Descriptor: fidoDescriptor,
	}
	get := func(kind, index byte) [8]byte { return [8]byte{0x80, requestGetDescriptor, index, kind} }
	for name, x := range map[string]struct {
		setup [8]byte
		want  []byte // nil: the request stalls
	}{
		"device, without a serial number": {get(descriptorDevice, 0),
			[]byte{18, 1, 0, 2, 0, 0, 0, 64, 0x09, 0x12, 0xd0, 0xf1, 0, 1, 1, 2, 0, 1}},
		"configuration": {get(descriptorConfiguration, 0), []byte{
			9, 2, 41, 0, 1, 1, 0, 0x80, 50,
			9, 4, 0, 0, 2, 3, 0, 0, 0,
			9, 0x21, 0x11, 1, 0, 1, 0x22, 34, 0,
			7, 5, 0x81, 3, 64, 0, 5,
			7, 5, 0x01, 3, 64, 0, 5}},
		"languages":             {get(descriptorString, 0), []byte{4, 3, 0x09, 0x04}},
		"product":               {get(descriptorString, 2), []byte{8, 3, 'k', 0, 0xe9, 0, 'y', 0}},
		"no serial number":      {get(descriptorString, 3), nil},
		"string out of range":   {get(descriptorString, 4), nil},
		"device qualifier":      {get(0x06, 0), nil},
		"HID":                   {[8]byte{0x81, requestGetDescriptor, 0, descriptorHID}, []byte{9, 0x21, 0x11, 1, 0, 1, 0x22, 34, 0}},
		"report":                {[8]byte{0x81, requestGetDescriptor, 0, descriptorReport}, fidoDescriptor},
		"status":                {[8]byte{0x80, requestGetStatus}, []byte{0, 0}},
		"HID set report":        {[8]byte{0x21, 0x09}, nil},
		"status of an endpoint": {[8]byte{0x82, requestGetStatus}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := c.control(x.setup)
			require.Equal(t, x.want != nil, ok)
			require.Equal(t, x.want, got)
		})
	}

	name, ok := c.control(get(descriptorString, 1))
	require.True(t, ok)
	require.Len(t, name, 254, "a string of 200 characters is cut")
	require.EqualValues(t, 254, name[0])
}
