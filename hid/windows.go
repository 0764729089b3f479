package hid

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf16"
)

// What Windows tells about an interface, taken apart, and how it moves reports. Nothing here calls Windows, so all of
// it is tested everywhere.

// hidpCaps is HIDP_CAPS of hidpi.h: what a collection consists of. Lengths are in bytes and count the report number,
// which Windows has before each report, whether the device numbers its reports or not.
type hidpCaps struct {
	usage, usagePage             uint16
	inputLength, outputLength, _ uint16
	_                            [17]uint16 // reserved
	_                            uint16     // link collections
	_, inputValueCaps, _         uint16     // buttons, values, data indices
	_, outputValueCaps, _        uint16
	_                            [3]uint16 // feature reports
}

// hidpValueCaps is HIDP_VALUE_CAPS of hidpi.h, as far as it is of interest.
type hidpValueCaps struct {
	_        uint16
	reportID byte
	_        byte
	_        [17]uint32
}

func (c *hidpCaps) isFIDO() bool { return uint32(c.usagePage)<<16|uint32(c.usage) == fidoUsage }

// reports measures the reports of a FIDO collection, whose numbers the caller knows.
func (c *hidpCaps) reports(in, out byte) (reports, error) {
	const number, largest = 1, 1 + maxReport
	switch {
	case c.inputLength <= number || c.outputLength <= number:
		return reports{}, errors.New("FIDO collection lacks an input or output report")
	case c.inputLength > largest || c.outputLength > largest:
		return reports{}, fmt.Errorf("FIDO collection has a report of more than %d bytes", maxReport)
	}
	return reports{report{in, int(c.inputLength) - number}, report{out, int(c.outputLength) - number}}, nil
}

// fidoHardwareID is what the HID class driver calls every FIDO collection, besides more specific names.
const fidoHardwareID = "HID_DEVICE_UP:F1D0_U:0001"

// isFIDOHardware finds a FIDO collection by its hardware IDs, for one that can't be asked.
func isFIDOHardware(ids []string) bool {
	return slices.ContainsFunc(ids, func(id string) bool { return strings.EqualFold(id, fidoHardwareID) })
}

// refusesFIDO says that Windows keeps FIDO keys from a process: since version 1903, which is build 18362, they are for
// administrators.
func refusesFIDO(build uint32, elevated bool) bool { return build >= 18362 && !elevated }

// instanceBus tells the bus from the instance ID of what a HID device hangs on: "USB\VID_1050&PID_0407&MI_01\7&1a2b".
// It begins with the name of the driver that found it.
func instanceBus(parent string) Bus {
	enumerator, _, _ := strings.Cut(parent, `\`)
	switch strings.ToUpper(enumerator) {
	case "USB":
		return BusUSB
	case "BTHENUM", "BTHLE", "BTHLEDEVICE":
		return BusBluetooth
	case "ROOT", "SWD":
		return BusVirtual
	}
	return BusUnknown
}

// instanceNumbers takes the vendor and product ID from the instance ID of a HID device, "HID\VID_1050&PID_0407&MI_01\8&3a".
// Both are 0 if they aren't there.
func instanceNumbers(instance string) (vendor, product uint16) {
	parts := strings.Split(instance, `\`)
	if len(parts) < 2 {
		return 0, 0
	}
	for field := range strings.SplitSeq(strings.ToUpper(parts[1]), "&") {
		if digits, ok := strings.CutPrefix(field, "VID_"); ok {
			vendor = parseHex16(digits)
		}
		if digits, ok := strings.CutPrefix(field, "PID_"); ok {
			product = parseHex16(digits)
		}
	}
	return vendor, product
}

func parseHex16(s string) uint16 {
	v, err := strconv.ParseUint(s, 16, 16)
	if err != nil {
		return 0
	}
	return uint16(v)
}

// decodeStrings reads UTF-16 strings, each with a zero after it, up to an empty one: the format of REG_MULTI_SZ. A
// single string is a list of one.
func decodeStrings(b []byte) []string {
	var list []string
	var s []uint16
	for ; len(b) >= 2; b = b[2:] {
		unit := binary.LittleEndian.Uint16(b)
		if unit != 0 {
			s = append(s, unit)
			continue
		}
		if len(s) == 0 {
			return list
		}
		list, s = append(list, string(utf16.Decode(s))), nil
	}
	if len(s) > 0 {
		list = append(list, string(utf16.Decode(s)))
	}
	return list
}

// noString is what Windows gives for a string that a USB device doesn't have: it asks for string 0, which is the list of
// the languages of all others, and nearly always American English alone.
const noString = "\u0409"

// decodeName reads a name of a device, up to a zero.
func decodeName(s []uint16) string {
	if end := slices.Index(s, 0); end >= 0 {
		s = s[:end]
	}
	if name := string(utf16.Decode(s)); name != noString {
		return cleanName(name)
	}
	return ""
}

// writeLimit is how long a key may take for an output report; Linux gives it as much time.
const writeLimit = 5 * time.Second

// windowsConn is a backend's conn over two files, since Go lets a Read and a Write of the same one wait for each other.
type windowsConn struct {
	in, out  deadlineConn
	report   []byte // exactly an input report: Windows fills a longer buffer with more than one of them
	numbered bool   // the reports from the device have numbers of their own
}

// deadlineConn is what an overlapped os.File can do.
type deadlineConn interface {
	io.ReadWriteCloser
	SetWriteDeadline(time.Time) error
}

func newWindowsConn(in, out deadlineConn, r reports) *windowsConn {
	return &windowsConn{in: in, out: out, report: make([]byte, 1+r.in.size), numbered: r.in.number != 0}
}

func (c *windowsConn) Read(p []byte) (int, error) {
	n, err := c.in.Read(c.report)
	if err != nil {
		return 0, err
	}
	b := c.report[:n]
	if !c.numbered {
		b = b[1:]
	}
	return copy(p, b), nil
}

func (c *windowsConn) Write(p []byte) (int, error) {
	if err := c.out.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
		return 0, err
	}
	return c.out.Write(p)
}

func (c *windowsConn) Close() error { return errors.Join(c.in.Close(), c.out.Close()) }

// subscriptions are the channels that a callback of the system signals, by a number that can be given to the system.
type subscriptions struct {
	mu       sync.Mutex
	last     uintptr
	channels map[uintptr]chan struct{}
}

func (s *subscriptions) add() (id uintptr, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.channels == nil {
		s.channels = make(map[uintptr]chan struct{})
	}
	s.last++
	c := make(chan struct{}, 1)
	s.channels[s.last] = c
	return s.last, c
}

// notify signals a channel, unless that has been removed.
func (s *subscriptions) notify(id uintptr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.channels[id]; ok {
		signal(c)
	}
}

// remove closes a channel.
func (s *subscriptions) remove(id uintptr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.channels[id])
	delete(s.channels, id)
}
