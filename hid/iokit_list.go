package hid

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// ioPrefix begins the path of a key on macOS. What follows is the ID of its entry in the I/O Registry as ioreg(8) shows it.
// The system never gives an ID a second time before it is started again, so a path means one key and one time of plugging it in.
const ioPrefix = "ioreg://"

func ioPath(id uint64) string { return ioPrefix + "0x" + strconv.FormatUint(id, 16) }

func parseIOPath(path string) (id uint64, err error) {
	hex, ok := strings.CutPrefix(path, ioPrefix+"0x")
	if id, err = strconv.ParseUint(hex, 16, 64); !ok || err != nil || ioPath(id) != path {
		return 0, errors.New("not of the form " + ioPrefix + "0x100000a1b")
	}
	return id, nil
}

// matching returns the dictionary that matches the services which are FIDO interfaces.
func (k *iokit) matching() cfRef {
	dictionary := k.IOServiceMatching("IOHIDDevice")
	if dictionary == 0 {
		return 0 // what takes it says that it is no good
	}
	k.setNumber(dictionary, "DeviceUsagePage", fidoUsage>>16)
	k.setNumber(dictionary, "DeviceUsage", fidoUsage&0xFFFF)
	return dictionary
}

func (k *iokit) list() ([]Info, error) {
	var services ioObject
	if err := k.IOServiceGetMatchingServices(0, k.matching(), &services).err(); err != nil {
		return nil, fmt.Errorf("hid: list: %w", err)
	}
	defer k.IOObjectRelease(services)
	var found []ioService
	k.each(services, func(service ioObject) {
		if s, ok := k.describe(service); ok {
			found = append(found, s)
		}
	})
	slices.SortFunc(found, func(a, b ioService) int { return cmp.Compare(a.id, b.id) })
	var infos []Info
	for _, s := range found {
		if s.err != nil {
			s.info.Err = fmt.Errorf("hid: open %s: %w", s.info.Path, s.err)
		}
		infos = append(infos, s.info)
	}
	return infos, nil
}

// each calls do with each of the services and releases them.
func (k *iokit) each(services ioObject, do func(service ioObject)) {
	for service := k.IOIteratorNext(services); service != 0; service = k.IOIteratorNext(services) {
		do(service)
		k.IOObjectRelease(service)
	}
}

// ioService is what the I/O Registry tells of an interface, which needs neither to open it nor a permission.
type ioService struct {
	id       uint64
	info     Info
	reports  reports
	err      error // why it can't be used
	maxInput int   // bytes of the longest input report of any collection
}

// describe says what a service is; ok is false if it is no FIDO interface, or has just vanished.
func (k *iokit) describe(service ioObject) (s ioService, ok bool) {
	if k.IORegistryEntryGetRegistryEntryID(service, &s.id) != 0 {
		return ioService{}, false
	}
	descriptor := k.data(service, "ReportDescriptor", maxDescriptor+1)
	s.reports, ok, s.err = parseDescriptor(descriptor)
	if !ok {
		return ioService{}, false
	}
	s.maxInput = int(min(max(0, k.number(service, "MaxInputReportSize")), maxReport+1))
	s.info = Info{
		Path:         ioPath(s.id),
		Bus:          ioBus(k.text(service, "Transport")),
		VendorID:     uint16(k.number(service, "VendorID")),
		ProductID:    uint16(k.number(service, "ProductID")),
		Manufacturer: k.text(service, "Manufacturer"),
		Product:      k.text(service, "Product"),
		Serial:       k.text(service, "SerialNumber"),
	}
	s.info.setStableID(ioPort(k.number(service, "LocationID")))
	return s, true
}

// ioPort is the number of a USB port: its bus and the ports of the hubs on the way to it, a hexadecimal digit each.
func ioPort(location int64) string {
	if location == 0 {
		return ""
	}
	return fmt.Sprintf("%08x", uint32(location))
}

// ioBus knows the values of kIOHIDTransportKey.
func ioBus(transport string) Bus {
	switch transport {
	case "USB":
		return BusUSB
	case "Bluetooth", "Bluetooth Low Energy", "BluetoothLowEnergy":
		return BusBluetooth
	case "Virtual":
		return BusVirtual
	}
	return BusUnknown
}

func (k *iokit) open(path string) (*Device, error) {
	d, err := k.openPath(path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("hid: open %s: %w: allow this program, or the terminal that it runs in, under System Settings, "+
			"Privacy & Security, Input Monitoring; a program in the App Sandbox needs the entitlement "+
			"com.apple.security.device.usb", path, err)
	case err != nil:
		return nil, fmt.Errorf("hid: open %s: %w", path, err)
	}
	return d, nil
}

func (k *iokit) openPath(path string) (*Device, error) {
	id, err := parseIOPath(path)
	if err != nil {
		return nil, err
	}
	service := k.IOServiceGetMatchingService(0, k.IORegistryEntryIDMatching(id))
	if service == 0 {
		return nil, fs.ErrNotExist
	}
	defer k.IOObjectRelease(service)
	s, ok := k.describe(service)
	switch {
	case !ok:
		return nil, errNotFIDO
	case s.err != nil:
		return nil, s.err
	}
	conn, err := k.openService(service, s)
	if err != nil {
		return nil, err
	}
	return newDevice(backend{conn: conn, info: s.info, reports: s.reports, removed: ioRemoved}), nil
}
