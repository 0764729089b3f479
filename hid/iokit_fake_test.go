package hid

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// fakeMac is a Mac with keys. It counts references, and panics where the real one would crash: at what is none or has been
// released.
type fakeMac struct {
	*iokit

	mu      sync.Mutex // guards everything below
	last    uintptr
	objects map[cfRef]*macObject
	kernel  map[ioObject]any // *macKey (a service) or *[]*macKey (an iterator)
	keys    []*macKey
	ports   map[uintptr]*macPort
	loops   map[cfRef]*macLoop  // by mode
	refuse  map[string]ioReturn // what a function returns instead of doing something
	lists   []map[string]int64  // the numbers that were matched
}

// macObject is a Core Foundation object.
type macObject struct {
	refs  int
	value any // string, int64, []byte, map[string]int64 (matching), *macKey (a device), *macLoop (a source) or uintptr (a port's)
}

type macKey struct {
	id         uint64
	properties map[string]any

	// Of the device that is open. The system has one for each opener; one is enough here.
	open, scheduled bool
	loop            *macLoop
	buf             *byte
	size            int
	reports         uintptr // tokens
	removal         uintptr
	written         chan []byte
	numbers         []int
}

type macPort struct {
	loop          *macLoop
	subscriptions map[string]macSubscription // by event
}

// macSubscription calls back once its iterator has been emptied.
type macSubscription struct {
	token uintptr
	keys  *[]*macKey // what is left in the iterator
}

type macLoop struct {
	events   chan func()
	signaled atomic.Bool
}

func newFakeMac(t *testing.T) *fakeMac {
	m := &fakeMac{
		iokit: new(iokit), objects: map[cfRef]*macObject{}, kernel: map[ioObject]any{}, ports: map[uintptr]*macPort{},
		loops: map[cfRef]*macLoop{}, refuse: map[string]ioReturn{},
	}
	m.callbacks = ioCallbacks{1, 2, 3, 4}
	m.ioFunctions = ioFunctions{
		CFDataGetBytePtr:          func(r cfRef) *byte { return unsafe.SliceData(m.object(r).([]byte)) },
		CFDataGetLength:           func(r cfRef) int { return len(m.object(r).([]byte)) },
		CFDataGetTypeID:           func() uint { return 1 },
		CFStringGetTypeID:         func() uint { return 2 },
		CFNumberGetTypeID:         func() uint { return 3 },
		CFGetTypeID:               m.typeID,
		CFDictionarySetValue:      m.setValue,
		CFNumberCreate:            func(_ cfRef, _ int, n *int64) cfRef { return m.create(*n) },
		CFNumberGetValue:          func(r cfRef, _ int, n *int64) bool { *n = m.object(r).(int64); return true },
		CFRelease:                 m.releaseObject,
		CFStringCreateWithCString: func(_ cfRef, s string, _ uint32) cfRef { return m.create(s) },
		CFStringGetCString:        m.cString,

		CFRunLoopAddSource:    m.addSource,
		CFRunLoopGetCurrent:   func() cfRef { return 0xC0DE },
		CFRunLoopRemoveSource: func(_, source, mode cfRef) { m.object(source); m.object(mode) },
		CFRunLoopRunInMode:    m.runLoop,
		CFRunLoopSourceCreate: m.createSource,
		CFRunLoopSourceSignal: func(source cfRef) { m.object(source).(*macLoop).signaled.Store(true) },
		CFRunLoopWakeUp:       m.wakeUp,

		IOHIDDeviceClose:  m.closeDevice,
		IOHIDDeviceCreate: func(_ cfRef, s ioObject) cfRef { return m.create(m.service(s)) },
		IOHIDDeviceOpen:   m.openDevice,
		IOHIDDeviceRegisterInputReportCallback: func(d cfRef, buf *byte, size int, callback, token uintptr) {
			m.registered(callback, 1, token)
			k := m.key(d)
			k.buf, k.size, k.reports = buf, size, token
		},
		IOHIDDeviceRegisterRemovalCallback: func(d cfRef, callback, token uintptr) {
			m.registered(callback, 2, token)
			m.key(d).removal = token
		},
		IOHIDDeviceScheduleWithRunLoop: func(d, _, mode cfRef) {
			m.schedule(m.key(d), mode)
		},
		IOHIDDeviceSetReport:             m.setReport,
		IOHIDDeviceUnscheduleFromRunLoop: func(d, _, _ cfRef) { m.key(d).scheduled = false },

		IOIteratorNext:                     m.next,
		IONotificationPortCreate:           m.createPort,
		IONotificationPortDestroy:          m.destroyPort,
		IONotificationPortGetRunLoopSource: func(port uintptr) cfRef { m.port(port); return cfRef(port) },
		IOObjectRelease:                    m.releaseKernel,
		IORegistryEntryCreateCFProperty:    m.createProperty,
		IORegistryEntryGetRegistryEntryID:  m.entryID,
		IORegistryEntryIDMatching:          func(id uint64) cfRef { return m.create(map[string]int64{"id": int64(id)}) },
		IOServiceAddMatchingNotification:   m.addNotification,
		IOServiceGetMatchingService:        m.matchOne,
		IOServiceGetMatchingServices:       m.matchAll,
		IOServiceMatching: func(class string) cfRef {
			return m.create(map[string]int64{"class " + class: 1})
		},
	}
	t.Cleanup(func() { m.requireBalance(t) })
	return m
}

// requireBalance says that everything that was created has been released, and nothing goes on.
func (m *fakeMac) requireBalance(t *testing.T) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for ref, o := range m.objects {
		t.Errorf("object %d is left with %d references: %v", ref, o.refs, o.value)
	}
	require.Empty(t, m.kernel)
	require.Empty(t, m.ports)
	require.Empty(t, m.receivers)
	for _, k := range m.keys {
		require.False(t, k.open)
		require.False(t, k.scheduled)
		require.Zero(t, [2]uintptr{k.reports, k.removal})
	}
}

func (m *fakeMac) create(value any) cfRef {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last++
	m.objects[cfRef(m.last)] = &macObject{1, value}
	return cfRef(m.last)
}

func (m *fakeMac) object(ref cfRef) any {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.objects[ref].value
}

func (m *fakeMac) key(device cfRef) *macKey { return m.object(device).(*macKey) }

func (m *fakeMac) port(port uintptr) *macPort {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ports[port] == nil {
		panic("no such port")
	}
	return m.ports[port]
}

func (m *fakeMac) releaseObject(ref cfRef) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.objects[ref]
	if o.refs--; o.refs == 0 {
		delete(m.objects, ref)
	}
}

func (m *fakeMac) typeID(ref cfRef) uint {
	switch m.object(ref).(type) {
	case []byte:
		return 1
	case string:
		return 2
	case int64:
		return 3
	}
	return 0
}

func (m *fakeMac) cString(s cfRef, buf *byte, size int, _ uint32) bool {
	text := m.object(s).(string) + "\x00"
	return copy(unsafe.Slice(buf, size), text) == len(text)
}

func (m *fakeMac) setValue(dictionary, key, value cfRef) {
	m.object(dictionary).(map[string]int64)[m.object(key).(string)] = m.object(value).(int64)
}

// Run loops.

func (m *fakeMac) createSource(_ cfRef, _ int, context *cfSourceContext) cfRef {
	if context.perform != m.callbacks.perform {
		panic("no perform")
	}
	return m.create(&macLoop{events: make(chan func(), 10_000)})
}

func (m *fakeMac) addSource(_, source, mode cfRef) {
	m.object(mode)
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.ports[uintptr(source)]; p != nil {
		p.loop = m.loops[mode]
		return
	}
	m.loops[mode] = m.objects[source].value.(*macLoop)
}

func (m *fakeMac) runLoop(mode cfRef, _ float64, returnAfterSource bool) int32 {
	m.mu.Lock()
	loop := m.loops[mode]
	m.mu.Unlock()
	if !returnAfterSource {
		panic("would never return")
	}
	(<-loop.events)()
	return 4 // kCFRunLoopRunHandledSource
}

// wakeUp is called with the one run loop that all threads of this fake seem to have; those that aren't meant sleep on.
func (m *fakeMac) wakeUp(cfRef) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, loop := range m.loops {
		if loop.signaled.Swap(false) {
			loop.events <- func() {}
		}
	}
}

// Services.

func (m *fakeMac) newKernelObject(v any) ioObject {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last++
	m.kernel[ioObject(m.last)] = v
	return ioObject(m.last)
}

func (m *fakeMac) service(o ioObject) *macKey {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.kernel[o].(*macKey)
}

func (m *fakeMac) releaseKernel(o ioObject) ioReturn {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kernel[o] == nil {
		panic("released twice")
	}
	delete(m.kernel, o)
	return 0
}

func (m *fakeMac) next(iterator ioObject) ioObject {
	m.mu.Lock()
	keys := m.kernel[iterator].(*[]*macKey)
	m.mu.Unlock()
	if len(*keys) == 0 {
		return 0
	}
	first := (*keys)[0]
	*keys = (*keys)[1:]
	return m.newKernelObject(first)
}

// match takes over a matching dictionary and returns what it matches, in no order.
func (m *fakeMac) match(dictionary cfRef) *[]*macKey {
	numbers := m.object(dictionary).(map[string]int64)
	m.releaseObject(dictionary)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lists = append(m.lists, numbers)
	var keys []*macKey
	for _, k := range slices.Backward(m.keys) {
		if id, byID := numbers["id"]; !byID || uint64(id) == k.id {
			keys = append(keys, k)
		}
	}
	return &keys
}

func (m *fakeMac) matchAll(_ ioObject, dictionary cfRef, iterator *ioObject) ioReturn {
	keys := m.match(dictionary)
	if r := m.refuse["IOServiceGetMatchingServices"]; r != 0 {
		return r
	}
	*iterator = m.newKernelObject(keys)
	return 0
}

func (m *fakeMac) matchOne(_ ioObject, dictionary cfRef) ioObject {
	keys := *m.match(dictionary)
	if len(keys) == 0 {
		return 0
	}
	return m.newKernelObject(keys[0])
}

func (m *fakeMac) entryID(o ioObject, id *uint64) ioReturn {
	*id = m.service(o).id
	return m.refuse["IORegistryEntryGetRegistryEntryID"]
}

func (m *fakeMac) createProperty(o ioObject, key, _ cfRef, _ uint32) cfRef {
	value, ok := m.service(o).properties[m.object(key).(string)]
	if !ok {
		return 0
	}
	return m.create(value)
}

// Devices.

func (m *fakeMac) openDevice(d cfRef, options uint32) ioReturn {
	if options != 0 {
		panic("seized")
	}
	if r := m.refuse["IOHIDDeviceOpen"]; r != 0 {
		return r
	}
	m.key(d).open = true
	return 0
}

func (m *fakeMac) closeDevice(d cfRef, _ uint32) ioReturn {
	if !m.key(d).open {
		panic("closed, and not open")
	}
	m.key(d).open = false
	return 0
}

func (m *fakeMac) setReport(d cfRef, kind uint32, number int, report *byte, size int) ioReturn {
	if kind != ioReportOutput {
		panic("no output report")
	}
	k := m.key(d)
	k.numbers = append(k.numbers, number)
	if r := m.refuse["IOHIDDeviceSetReport"]; r != 0 {
		return r
	}
	k.written <- copyBytes(report, size)
	return 0
}

func (m *fakeMac) schedule(k *macKey, mode cfRef) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k.loop, k.scheduled = m.loops[mode], true
}

// registered checks that a callback is the one that is meant, or none.
func (m *fakeMac) registered(callback, want, token uintptr) {
	if callback != want && callback != 0 || (callback == 0) != (token == 0) {
		panic(fmt.Sprint("callback ", callback, " with token ", token))
	}
}

// addKey plugs a key in.
func (m *fakeMac) addKey(id uint64, properties map[string]any) *macKey {
	k := &macKey{id: id, properties: maps.Clone(properties), written: make(chan []byte, 10)}
	m.mu.Lock()
	m.keys = append(m.keys, k)
	m.mu.Unlock()
	m.notify("IOServiceFirstMatch", k)
	return k
}

// removeKey unplugs one.
func (m *fakeMac) removeKey(k *macKey) {
	m.mu.Lock()
	m.keys = slices.DeleteFunc(m.keys, func(other *macKey) bool { return other == k })
	m.mu.Unlock()
	if token, loop := k.removal, k.loop; loop != nil {
		loop.events <- func() { k.open = false; m.deviceRemoved(token) }
	}
	m.notify("IOServiceTerminate", k)
}

// send makes an input report arrive.
func (m *fakeMac) send(k *macKey, report []byte) {
	token := k.reports
	k.loop.events <- func() {
		copy(unsafe.Slice(k.buf, k.size), report)
		m.reportArrived(token, 0, ioReportInput, k.buf, len(report))
	}
}

// Notifications.

func (m *fakeMac) createPort(ioObject) uintptr {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refuse["IONotificationPortCreate"] != 0 {
		return 0
	}
	m.last++
	m.ports[m.last] = &macPort{subscriptions: map[string]macSubscription{}}
	return m.last
}

func (m *fakeMac) destroyPort(port uintptr) {
	m.port(port)
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.ports, port)
}

func (m *fakeMac) addNotification(
	port uintptr, event string, dictionary cfRef, callback, token uintptr, iterator *ioObject,
) ioReturn {
	m.registered(callback, 3, token)
	keys := m.match(dictionary)
	if r := m.refuse[event]; r != 0 {
		return r
	}
	m.port(port).subscriptions[event] = macSubscription{token, keys}
	*iterator = m.newKernelObject(keys)
	return 0
}

func (m *fakeMac) notify(event string, k *macKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.ports {
		s, ok := p.subscriptions[event]
		if !ok || len(*s.keys) > 0 {
			continue
		}
		p.loop.events <- func() {
			keys := []*macKey{k}
			iterator := m.newKernelObject(&keys)
			m.servicesMatched(s.token, iterator)
			m.releaseKernel(iterator)
			if len(keys) > 0 {
				panic("no more callbacks")
			}
		}
	}
}

// yubiKey is what the I/O Registry says about one.
func yubiKey(t *testing.T) map[string]any {
	return map[string]any{
		"ReportDescriptor": unhex(t, keyDescriptor), "Transport": "USB", "VendorID": int64(0x1050),
		"ProductID": int64(0x0407), "Manufacturer": "Yubico", "Product": "YubiKey OTP+FIDO+CCID",
		"LocationID": int64(0x14200000), "MaxInputReportSize": int64(64),
	}
}

// frame makes a report that tells which it is.
func frame(n int) []byte { return binary.BigEndian.AppendUint32(make([]byte, 60), uint32(n)) }
