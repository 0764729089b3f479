package hid

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

// hid.dll is known by its full path only, like all that this package loads.
var (
	hidDLL                 = windows.NewLazySystemDLL("hid.dll")
	procGetAttributes      = hidDLL.NewProc("HidD_GetAttributes")
	procGetPreparsedData   = hidDLL.NewProc("HidD_GetPreparsedData")
	procFreePreparsedData  = hidDLL.NewProc("HidD_FreePreparsedData")
	procGetManufacturer    = hidDLL.NewProc("HidD_GetManufacturerString")
	procGetProduct         = hidDLL.NewProc("HidD_GetProductString")
	procGetSerialNumber    = hidDLL.NewProc("HidD_GetSerialNumberString")
	procSetNumInputBuffers = hidDLL.NewProc("HidD_SetNumInputBuffers")
	procGetCaps            = hidDLL.NewProc("HidP_GetCaps")
	procGetValueCaps       = hidDLL.NewProc("HidP_GetValueCaps")
)

// HIDP_REPORT_TYPE
const (
	hidpInput  = 0
	hidpOutput = 1
)

// readReports finds out what the reports of a collection look like. The error is errNotFIDO if it isn't one for FIDO.
func readReports(h windows.Handle) (reports, error) {
	var parsed uintptr // the report descriptor, digested by the driver
	if err := hidBool(procGetPreparsedData, uintptr(h), uintptr(unsafe.Pointer(&parsed))); err != nil {
		return reports{}, fmt.Errorf("report descriptor: %w", err)
	}
	defer hidBool(procFreePreparsedData, parsed)
	var caps hidpCaps
	if err := callHidP(procGetCaps, parsed, uintptr(unsafe.Pointer(&caps))); err != nil {
		return reports{}, err
	}
	if !caps.isFIDO() {
		return reports{}, errNotFIDO
	}
	in, err := reportNumber(parsed, hidpInput, caps.inputValueCaps)
	if err != nil {
		return reports{}, err
	}
	out, err := reportNumber(parsed, hidpOutput, caps.outputValueCaps)
	if err != nil {
		return reports{}, err
	}
	return caps.reports(in, out)
}

// reportNumber returns the number of the first report of a direction in which a collection has so many values.
func reportNumber(parsed, direction uintptr, values uint16) (byte, error) {
	if values == 0 {
		return 0, nil
	}
	caps := make([]hidpValueCaps, values)
	err := callHidP(procGetValueCaps, direction, uintptr(unsafe.Pointer(&caps[0])), uintptr(unsafe.Pointer(&values)), parsed)
	return caps[0].reportID, err
}

// readInfo asks for IDs and names. They are a courtesy, so none of them makes opening fail.
func readInfo(h windows.Handle) Info {
	var attributes struct { // HIDD_ATTRIBUTES
		size                     uint32
		vendor, product, version uint16
	}
	attributes.size = uint32(unsafe.Sizeof(attributes))
	hidBool(procGetAttributes, uintptr(h), uintptr(unsafe.Pointer(&attributes)))
	return Info{
		VendorID:     attributes.vendor,
		ProductID:    attributes.product,
		Manufacturer: readName(h, procGetManufacturer),
		Product:      readName(h, procGetProduct),
		Serial:       readName(h, procGetSerialNumber),
	}
}

func readName(h windows.Handle, p *windows.LazyProc) string {
	var name [127]uint16 // a USB string has 126 characters; some devices give none at all to who asks for more
	if err := hidBool(p, uintptr(h), uintptr(unsafe.Pointer(&name)), unsafe.Sizeof(name)); err != nil {
		return ""
	}
	return decodeName(name[:])
}

// hidBool calls a HidD function. These return a BOOLEAN, which is a byte: the rest of the register can be anything.
//
//go:uintptrescapes
func hidBool(p *windows.LazyProc, args ...uintptr) error {
	if err := p.Find(); err != nil {
		return err
	}
	if r, _, err := p.Call(args...); byte(r) == 0 {
		return err
	}
	return nil
}

// callHidP calls a HidP function, which returns one of the HIDP_STATUS of hidpi.h.
//
//go:uintptrescapes
func callHidP(p *windows.LazyProc, args ...uintptr) error {
	if err := p.Find(); err != nil {
		return err
	}
	const success = 0x00110000
	if r, _, _ := p.Call(args...); uint32(r) != success {
		return fmt.Errorf("%s: status %#x", p.Name, uint32(r))
	}
	return nil
}
