package hid

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"unsafe"
)

// What the BSDs' kernels take and give. It is here, for all of them and for no system in particular, so that it is tested
// everywhere against numbers known from their own C headers: sys/ioccom.h, dev/usb/usb.h, dev/usb/usb_ioctl.h, dev/hid/hidraw.h.

// ioctl is a request number as sys/ioccom.h makes them: a direction, the size of what is passed, a group and a number.
type ioctl uint32

const (
	ioctlOut ioctl = 0x4000_0000 // the kernel gives something
	ioctlIn  ioctl = 0x8000_0000 // the kernel takes something

	ioctlMaxSize = 0x1FFF
)

func newIoctl(direction ioctl, group byte, number byte, size uintptr) ioctl {
	return direction | ioctl(size&ioctlMaxSize)<<16 | ioctl(group)<<8 | ioctl(number)
}

// usbGenDescriptor is FreeBSD's struct usb_gen_descriptor, with which it hands out the report descriptor.
type usbGenDescriptor struct {
	data           *byte
	_              uint16 // language
	maxLen, actLen uint16
	_              [16]byte // indexes of what else there is to get
}

// ctlReportDesc is struct usb_ctl_report_desc, with which NetBSD and OpenBSD do.
type ctlReportDesc struct {
	size int32
	data [1024]byte
}

// bytes returns the descriptor, as far as there is one.
func (d *ctlReportDesc) bytes() []byte { return d.data[:min(max(d.size, 0), int32(len(d.data)))] }

var (
	freebsdReportDesc = newIoctl(ioctlIn|ioctlOut, 'U', 21, unsafe.Sizeof(usbGenDescriptor{})) // USB_GET_REPORT_DESC
	freebsdRawInfo    = newIoctl(ioctlOut, 'U', 32, 8)                                         // HIDIOCGRAWINFO
	freebsdRawName    = newIoctl(ioctlOut, 'U', 33, rawName)                                   // HIDIOCGRAWNAME
	freebsdRawUniq    = newIoctl(ioctlOut, 'U', 37, rawName)                                   // HIDIOCGRAWUNIQ
	uhidReportDesc    = newIoctl(ioctlOut, 'U', 21, unsafe.Sizeof(ctlReportDesc{}))            // USB_GET_REPORT_DESC
	uhidReportID      = newIoctl(ioctlOut, 'U', 25, 4)                                         // USB_GET_REPORT_ID
	netbsdSetRaw      = newIoctl(ioctlIn, 'h', 2, 4)                                           // USB_HID_SET_RAW
)

// rawName is the room for a name that hidraw of FreeBSD gives.
const rawName = 128

// usbDeviceInfo says where a system's struct usb_device_info has what this package wants. They all have one, and each its own.
type usbDeviceInfo struct {
	size                    int
	vendorID, productID     int // offsets of a uint16
	vendor, product, serial text
	cookie                  int // offset of a uint32 that is another one each time that a device is attached; 0 if there is none
}

// text is where a text of up to size bytes is, which ends with the first zero.
type text struct{ offset, size int }

var (
	freebsdDeviceInfo = usbDeviceInfo{
		size: 368, vendorID: 2, productID: 0,
		product: text{40, 128}, vendor: text{168, 128}, serial: text{296, 64},
	}
	netbsdDeviceInfo = usbDeviceInfo{
		size: 1268, vendorID: 1170, productID: 1168,
		product: text{8, 384}, vendor: text{392, 384}, serial: text{784, 384}, cookie: 4,
	}
	openbsdDeviceInfo = usbDeviceInfo{ // 6.7 and later
		size: 540, vendorID: 266, productID: 264,
		product: text{2, 127}, vendor: text{129, 127}, serial: text{412, 127},
	}
)

// request returns USB_GET_DEVICEINFO.
func (u usbDeviceInfo) request() ioctl { return newIoctl(ioctlOut, 'U', 112, uintptr(u.size)) }

// info reads a struct of u.size bytes.
func (u usbDeviceInfo) info(b []byte) Info {
	i := Info{
		Bus:       BusUSB,
		VendorID:  binary.NativeEndian.Uint16(b[u.vendorID:]),
		ProductID: binary.NativeEndian.Uint16(b[u.productID:]),
		Serial:    u.serial.in(b),
	}
	i.Manufacturer = realName(u.vendor.in(b), "vendor", i.VendorID)
	i.Product = realName(u.product.in(b), "product", i.ProductID)
	if u.cookie != 0 {
		i.instance = strconv.FormatUint(uint64(binary.NativeEndian.Uint32(b[u.cookie:])), 10)
	}
	i.setStableID("")
	return i
}

func (t text) in(b []byte) string { return cString(b[t.offset : t.offset+t.size]) }

// cString returns the text before the first zero.
func cString(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return cleanName(string(b))
}

// realName drops what the kernels make up for a device without names: "vendor 0x1050", "product 0407".
func realName(name, kind string, id uint16) string {
	number, ok := strings.CutPrefix(name, kind+" ")
	if n, err := strconv.ParseUint(strings.TrimPrefix(number, "0x"), 16, 16); ok && err == nil && uint16(n) == id {
		return ""
	}
	return name
}

// rawInfo reads FreeBSD's struct hidraw_devinfo: bus, vendor and product. The numbers of buses are those of Linux.
func (i *Info) setRawInfo(b [8]byte) {
	switch binary.NativeEndian.Uint32(b[:]) {
	case 0x03:
		i.Bus = BusUSB
	case 0x05:
		i.Bus = BusBluetooth
	case 0x06:
		i.Bus = BusVirtual
	}
	i.VendorID, i.ProductID = binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint16(b[6:])
}

// parseNode reads the descriptor of an interface of which the node carries only the reports with one number, and without
// it: uhid(4) of NetBSD and OpenBSD makes a node of each report ID.
func parseNode(descriptor []byte, number byte) (reports, error) {
	r, _, err := parseDescriptor(descriptor)
	if err != nil {
		return reports{}, err
	}
	if r.in.number != number || r.out.number != number {
		return reports{}, errNotFIDO
	}
	r.in.number, r.out.number = 0, 0
	return r, nil
}

// u2fReports are the reports of a node whose descriptor isn't to be had. fido(4) of OpenBSD shows it to root only.
var u2fReports = reports{in: report{size: 64}, out: report{size: 64}}

// candidate is a node that may be a key.
type candidate struct {
	path string

	// certain means that the node's name says that it is a key, and that there is a node only while there is a key. It is
	// listed even if it can't be opened.
	certain bool
}

// withoutTwins drops the second of two nodes of the same interface: FreeBSD can have a hidraw node besides the u2f or uhid
// one. parentOf returns what a sysctl says about the parent of a device, which is hidbus0 or so if it has such twins.
func withoutTwins(candidates []candidate, parentOf func(sysctl string) string) []candidate {
	seen := make(map[string]bool)
	return slices.DeleteFunc(candidates, func(c candidate) bool {
		parent := parentOf(parentSysctl(c.path))
		twin := strings.HasPrefix(parent, "hidbus") && seen[parent]
		seen[parent] = true
		return twin
	})
}

// parentSysctl makes dev.uhid.0.%parent of /dev/uhid0 and of /dev/u2f/0: the driver of the latter calls itself uhid.
func parentSysctl(path string) string {
	device := strings.Replace(strings.TrimPrefix(path, "/dev/"), "u2f/", "uhid", 1)
	driver := strings.TrimRight(device, "0123456789")
	return "dev." + driver + "." + device[len(driver):] + ".%parent"
}
