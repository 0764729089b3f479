package hid

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"unsafe"
)

// The half of the macOS backend that decides. It is here for all systems, so that it is tested on them against a fake of the
// functions below; what is only on macOS is to find these functions.

// ioFunctions is what this package uses of Core Foundation and IOKit. Each member has the name of its C function. As is their
// rule, what has Create or Copy in its name gives a reference that must be released, and what has Get does not.
type ioFunctions struct {
	CFDataGetBytePtr          func(data cfRef) *byte
	CFDataGetLength           func(data cfRef) int
	CFDataGetTypeID           func() uint
	CFDictionarySetValue      func(dictionary, key, value cfRef)
	CFGetTypeID               func(ref cfRef) uint
	CFNumberCreate            func(allocator cfRef, kind int, value *int64) cfRef
	CFNumberGetTypeID         func() uint
	CFNumberGetValue          func(number cfRef, kind int, value *int64) bool
	CFRelease                 func(ref cfRef)
	CFRunLoopAddSource        func(loop, source, mode cfRef)
	CFRunLoopGetCurrent       func() cfRef
	CFRunLoopRemoveSource     func(loop, source, mode cfRef)
	CFRunLoopRunInMode        func(mode cfRef, seconds float64, returnAfterSource bool) int32
	CFRunLoopSourceCreate     func(allocator cfRef, order int, context *cfSourceContext) cfRef
	CFRunLoopSourceSignal     func(source cfRef)
	CFRunLoopWakeUp           func(loop cfRef)
	CFStringCreateWithCString func(allocator cfRef, s string, encoding uint32) cfRef
	CFStringGetCString        func(s cfRef, buf *byte, size int, encoding uint32) bool
	CFStringGetTypeID         func() uint

	IOHIDDeviceClose                       func(device cfRef, options uint32) ioReturn
	IOHIDDeviceCreate                      func(allocator cfRef, service ioObject) cfRef
	IOHIDDeviceOpen                        func(device cfRef, options uint32) ioReturn
	IOHIDDeviceRegisterInputReportCallback func(device cfRef, buf *byte, size int, callback, context uintptr)
	IOHIDDeviceRegisterRemovalCallback     func(device cfRef, callback, context uintptr)
	IOHIDDeviceScheduleWithRunLoop         func(device, loop, mode cfRef)
	IOHIDDeviceSetReport                   func(device cfRef, kind uint32, number int, report *byte, size int) ioReturn
	IOHIDDeviceUnscheduleFromRunLoop       func(device, loop, mode cfRef)
	IOIteratorNext                         func(iterator ioObject) ioObject
	IONotificationPortCreate               func(mainPort ioObject) uintptr
	IONotificationPortDestroy              func(port uintptr)
	IONotificationPortGetRunLoopSource     func(port uintptr) cfRef
	IOObjectRelease                        func(object ioObject) ioReturn
	IORegistryEntryCreateCFProperty        func(entry ioObject, key, allocator cfRef, options uint32) cfRef
	IORegistryEntryGetRegistryEntryID      func(entry ioObject, id *uint64) ioReturn
	IORegistryEntryIDMatching              func(id uint64) cfRef
	IOServiceAddMatchingNotification       func(
		port uintptr, event string, matching cfRef, callback, context uintptr, iterator *ioObject) ioReturn // takes matching over
	IOServiceGetMatchingService  func(mainPort ioObject, matching cfRef) ioObject                     // takes matching over
	IOServiceGetMatchingServices func(mainPort ioObject, matching cfRef, iterator *ioObject) ioReturn // takes matching over
	IOServiceMatching            func(class string) cfRef
}

type (
	cfRef    uintptr // a Core Foundation object; 0 is none, or the default of what is wanted
	ioObject uint32  // an object of the kernel; 0 is none, or the main port
)

// cfSourceContext is CFRunLoopSourceContext.
type cfSourceContext struct {
	_       [9]uintptr
	perform uintptr
}

const (
	cfEncodingUTF8 = 0x0800_0100
	cfNumberSInt64 = 4

	ioReportInput  = 0
	ioReportOutput = 1
)

// ioCallbacks are C functions, made once, since they can't be freed. Each calls the method of iokit that its comment names.
type ioCallbacks struct {
	report  uintptr // reportArrived
	removed uintptr // deviceRemoved
	matched uintptr // servicesMatched
	perform uintptr // none; a source wants one
}

// iokit is the system as this package sees it. C code knows a Go object by a token that is no address.
type iokit struct {
	ioFunctions
	callbacks ioCallbacks

	mu        sync.Mutex
	lastToken uintptr         // guarded by mu
	receivers map[uintptr]any // by token; *ioDevice or chan struct{}; guarded by mu
}

// register makes a token for a receiver of callbacks.
func (k *iokit) register(receiver any) (token uintptr) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.receivers == nil {
		k.receivers = make(map[uintptr]any)
	}
	k.lastToken++
	k.receivers[k.lastToken] = receiver
	return k.lastToken
}

func (k *iokit) unregister(token uintptr) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.receivers, token)
}

// receiver returns nil for a token that isn't registered any more.
func (k *iokit) receiver(token uintptr) any {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.receivers[token]
}

// ioReturn is an IOReturn or kern_return_t. As an error it is never zero.
type ioReturn uint32

// The codes that mean something to this package: IOKit/IOReturn.h, mach/message.h.
const (
	ioNotPrivileged   = ioReturn(0xE000_02C1)
	ioNoDevice        = ioReturn(0xE000_02C0)
	ioExclusiveAccess = ioReturn(0xE000_02C5)
	ioNotAttached     = ioReturn(0xE000_02D9)
	ioNotPermitted    = ioReturn(0xE000_02E2)
	machInvalidDest   = ioReturn(0x1000_0003) // the kernel's side of the device is gone
)

// ioRemoved is what a call about a key that is gone fails with.
var ioRemoved = []error{ioNoDevice, ioNotAttached, machInvalidDest, errIOGone}

// errIOGone is what Read returns after the system said that the key is gone.
var errIOGone = errors.New("device terminated")

func (r ioReturn) Error() string {
	switch r {
	case ioNotPrivileged:
		return "IOKit: not privileged"
	case ioNoDevice:
		return "IOKit: no such device"
	case ioExclusiveAccess:
		return "IOKit: exclusive access, device already open"
	case ioNotAttached:
		return "IOKit: device not attached"
	case ioNotPermitted:
		return "IOKit: not permitted"
	}
	return fmt.Sprintf("IOKit: error %#08x", uint32(r))
}

// Is makes the codes match what the callers of this package look for.
func (r ioReturn) Is(target error) bool {
	switch target {
	case fs.ErrPermission:
		return r == ioNotPrivileged || r == ioNotPermitted
	case fs.ErrNotExist:
		return r == ioNoDevice || r == ioNotAttached
	case ErrBusy:
		return r == ioExclusiveAccess
	}
	return false
}

// err returns nil for success.
func (r ioReturn) err() error {
	if r == 0 {
		return nil
	}
	return r
}

// string makes a CFString.
func (k *iokit) string(s string) cfRef { return k.CFStringCreateWithCString(0, s, cfEncodingUTF8) }

// property returns the value of a property of a service, to be released; 0 if there is none.
func (k *iokit) property(service ioObject, name string) cfRef {
	key := k.string(name)
	defer k.CFRelease(key)
	return k.IORegistryEntryCreateCFProperty(service, key, 0, 0)
}

// text returns a property that is a string.
func (k *iokit) text(service ioObject, name string) string {
	ref := k.property(service, name)
	if ref == 0 {
		return ""
	}
	defer k.CFRelease(ref)
	b := make([]byte, 1024) // three times what USB can give
	if k.CFGetTypeID(ref) != k.CFStringGetTypeID() || !k.CFStringGetCString(ref, &b[0], len(b), cfEncodingUTF8) {
		return ""
	}
	return cString(b)
}

// number returns a property that is a number, or 0.
func (k *iokit) number(service ioObject, name string) int64 {
	ref := k.property(service, name)
	if ref == 0 {
		return 0
	}
	defer k.CFRelease(ref)
	var n int64
	if k.CFGetTypeID(ref) != k.CFNumberGetTypeID() || !k.CFNumberGetValue(ref, cfNumberSInt64, &n) {
		return 0
	}
	return n
}

// data returns a copy of a property that is bytes, cut to limit.
func (k *iokit) data(service ioObject, name string, limit int) []byte {
	ref := k.property(service, name)
	if ref == 0 {
		return nil
	}
	defer k.CFRelease(ref)
	if k.CFGetTypeID(ref) != k.CFDataGetTypeID() {
		return nil
	}
	return copyBytes(k.CFDataGetBytePtr(ref), min(k.CFDataGetLength(ref), limit))
}

// copyBytes copies n bytes that C owns.
func copyBytes(p *byte, n int) []byte {
	if p == nil || n <= 0 {
		return nil
	}
	return slices.Clone(unsafe.Slice(p, n))
}

// setNumber sets a number in a dictionary.
func (k *iokit) setNumber(dictionary cfRef, name string, n int64) {
	key, value := k.string(name), k.CFNumberCreate(0, cfNumberSInt64, &n)
	k.CFDictionarySetValue(dictionary, key, value) // which retains both
	k.CFRelease(key)
	k.CFRelease(value)
}
