package hid

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

// The parts of setupapi and cfgmgr32 that golang.org/x/sys/windows lacks. Both are known by their full path only.
var (
	setupapi                   = windows.NewLazySystemDLL("setupapi.dll")
	procEnumInterfaces         = setupapi.NewProc("SetupDiEnumDeviceInterfaces")
	procGetInterfaceDetail     = setupapi.NewProc("SetupDiGetDeviceInterfaceDetailW")
	cfgmgr32                   = windows.NewLazySystemDLL("cfgmgr32.dll")
	procGetProperty            = cfgmgr32.NewProc("CM_Get_DevNode_PropertyW")
	procRegisterNotification   = cfgmgr32.NewProc("CM_Register_Notification")
	procUnregisterNotification = cfgmgr32.NewProc("CM_Unregister_Notification")
)

// hidInterfaces is GUID_DEVINTERFACE_HID.
var hidInterfaces = windows.GUID{
	Data1: 0x4D1E55B2, Data2: 0xF16F, Data3: 0x11CF, Data4: [8]byte{0x88, 0xCB, 0x00, 0x11, 0x11, 0x00, 0x00, 0x30},
}

// The properties of devices that are of interest, from devpkey.h.
var (
	deviceNames   = windows.DEVPROPGUID{Data1: 0xA45C254E, Data2: 0xDF1C, Data3: 0x4EFD, Data4: [8]byte{0x80, 0x20, 0x67, 0xD1, 0x46, 0xA8, 0x50, 0xE0}}
	deviceTree    = windows.DEVPROPGUID{Data1: 0x4340A6C5, Data2: 0x93FA, Data3: 0x4706, Data4: [8]byte{0x97, 0x2C, 0x7B, 0x64, 0x80, 0x08, 0xA5, 0xA7}}
	deviceHistory = windows.DEVPROPGUID{Data1: 0x83DA6326, Data2: 0x97A6, Data3: 0x4088, Data4: [8]byte{0x94, 0x53, 0xA1, 0x92, 0x3F, 0x57, 0x3B, 0x29}}

	propertyHardwareIDs = windows.DEVPROPKEY{FmtID: deviceNames, PID: 3}
	propertyParent      = windows.DEVPROPKEY{FmtID: deviceTree, PID: 8}
	propertyArrival     = windows.DEVPROPKEY{FmtID: deviceHistory, PID: 102} // LastArrivalDate; since Windows 8
)

// hidNode is a HID interface that is present.
type hidNode struct {
	path       string // what CreateFile takes
	instanceID string // the name of the device among all devices, the same whenever it is in the same port
	device     windows.DEVINST
}

// hidNodes returns all HID interfaces: keyboards and mice, too.
func hidNodes() ([]hidNode, error) {
	set, err := windows.SetupDiGetClassDevsEx(&hidInterfaces, "", 0, windows.DIGCF_PRESENT|windows.DIGCF_DEVICEINTERFACE, 0, "")
	if err != nil {
		return nil, err
	}
	defer set.Close()
	var nodes []hidNode
	for index := 0; ; index++ {
		data := interfaceData{size: uint32(unsafe.Sizeof(interfaceData{}))}
		err := call(procEnumInterfaces, uintptr(set), 0, uintptr(unsafe.Pointer(&hidInterfaces)), uintptr(index),
			uintptr(unsafe.Pointer(&data)))
		if errors.Is(err, windows.ERROR_NO_MORE_ITEMS) {
			return nodes, nil
		}
		if err != nil {
			return nil, err
		}
		if n, err := newNode(set, &data); err == nil { // else it vanished in between
			nodes = append(nodes, n)
		}
	}
}

// interfaceData is SP_DEVICE_INTERFACE_DATA.
type interfaceData struct {
	size  uint32
	class windows.GUID
	flags uint32
	_     uintptr
}

// deviceInfoData is SP_DEVINFO_DATA, with a size that can be set.
type deviceInfoData struct {
	size   uint32
	class  windows.GUID
	device windows.DEVINST
	_      uintptr
}

func newNode(set windows.DevInfo, data *interfaceData) (hidNode, error) {
	path, device, err := interfaceDetail(set, data)
	if err != nil {
		return hidNode{}, err
	}
	id, err := set.DeviceInstanceID((*windows.DevInfoData)(unsafe.Pointer(&device)))
	if err != nil {
		return hidNode{}, err
	}
	return hidNode{path, id, device.device}, nil
}

// interfaceDetail returns the path of an interface and the device that it belongs to. The path comes in a
// SP_DEVICE_INTERFACE_DETAIL_DATA_W: its size as Windows thinks of it, and the characters.
func interfaceDetail(set windows.DevInfo, data *interfaceData) (path string, device deviceInfoData, err error) {
	device.size = uint32(unsafe.Sizeof(device))
	const header = 4
	var needed uint32
	err = call(procGetInterfaceDetail, uintptr(set), uintptr(unsafe.Pointer(data)), 0, 0,
		uintptr(unsafe.Pointer(&needed)), 0)
	if !errors.Is(err, windows.ERROR_INSUFFICIENT_BUFFER) || needed <= header {
		return "", device, fmt.Errorf("path of an interface: %w", err)
	}
	detail := make([]uint32, (needed+3)/4)
	detail[0] = uint32(detailSize)
	if err := call(procGetInterfaceDetail, uintptr(set), uintptr(unsafe.Pointer(data)), uintptr(unsafe.Pointer(&detail[0])),
		uintptr(needed), 0, uintptr(unsafe.Pointer(&device))); err != nil {
		return "", device, fmt.Errorf("path of an interface: %w", err)
	}
	characters := unsafe.Slice((*uint16)(unsafe.Pointer(&detail[1])), (needed-header)/2)
	return windows.UTF16ToString(characters), device, nil
}

// detailSize is the size of SP_DEVICE_INTERFACE_DETAIL_DATA_W, which has a number and one character, and which setupapi.h
// packs on processors of 32 bits.
const detailSize = 6 + 2*(unsafe.Sizeof(uintptr(0))/8)

// hardwareIDs are the names that a driver for the interface may go by.
func (n hidNode) hardwareIDs() []string {
	return decodeStrings(n.property(propertyHardwareIDs, windows.DEVPROP_TYPE_STRING_LIST))
}

// parent returns the instance ID of what the HID device hangs on, or "".
func (n hidNode) parent() string {
	for _, id := range decodeStrings(n.property(propertyParent, windows.DEVPROP_TYPE_STRING)) {
		return id
	}
	return ""
}

// arrival tells apart a key from the same one plugged in again, by the time in units of 100 ns; or it is "".
func (n hidNode) arrival() string {
	return fmt.Sprintf("%x", n.property(propertyArrival, windows.DEVPROP_TYPE_FILETIME))
}

// property returns a property of the device, or nil if it has no such property of this kind.
func (n hidNode) property(key windows.DEVPROPKEY, wanted windows.DEVPROPTYPE) []byte {
	var kind windows.DEVPROPTYPE
	value := make([]byte, 4096) // a list of hardware IDs has some hundred bytes
	size := uint32(len(value))
	if err := callCM(procGetProperty, uintptr(n.device), uintptr(unsafe.Pointer(&key)), uintptr(unsafe.Pointer(&kind)),
		uintptr(unsafe.Pointer(&value[0])), uintptr(unsafe.Pointer(&size)), 0); err != nil || kind != wanted {
		return nil
	}
	return value[:min(int(size), len(value))]
}

// call calls a function that returns a BOOL and leaves an error behind.
//
//go:uintptrescapes
func call(p *windows.LazyProc, args ...uintptr) error {
	if err := p.Find(); err != nil {
		return err
	}
	if r, _, err := p.Call(args...); int32(r) == 0 {
		return err
	}
	return nil
}

// callCM calls a function that returns a CONFIGRET.
//
//go:uintptrescapes
func callCM(p *windows.LazyProc, args ...uintptr) error {
	if err := p.Find(); err != nil {
		return err
	}
	if r, _, _ := p.Call(args...); uint32(r) != 0 {
		return fmt.Errorf("%s: CONFIGRET %#x", p.Name, uint32(r))
	}
	return nil
}
