package hid

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	fidoUsage     = 0xF1D0_0001 // usage page FIDO Alliance, usage CTAPHID authenticator
	maxDescriptor = 4096        // bytes; Linux has the same limit
	maxReport     = 4096        // bytes of payload
	maxPushed     = 16          // depth of the Push stack; Linux allows 4
)

// The items that matter here: HID 1.11, sections 6.2.2.4 to 6.2.2.8. The two low bits are the size of the data.
const (
	tagInput         = 0x80
	tagOutput        = 0x90
	tagCollection    = 0xA0
	tagEndCollection = 0xC0
	tagUsagePage     = 0x04
	tagReportSize    = 0x74
	tagReportID      = 0x84
	tagReportCount   = 0x94
	tagPush          = 0xA4
	tagPop           = 0xB4
	tagUsage         = 0x08

	prefixLong = 0xFE // not a tag: the prefix of an item with up to 255 bytes of data, none of which is defined

	typeMask = 0x0C
	typeMain = 0x00

	collectionApplication = 1
)

var (
	errNotFIDO   = errors.New("not a FIDO key: no collection with usage page 0xF1D0 and usage 1")
	errTruncated = errors.New("report descriptor is truncated")
)

// report is a kind of report that a device sends or takes.
type report struct {
	number byte // what the device calls a report ID; 0 if the report travels without a number
	size   int  // bytes, without the number
}

// reports are the two kinds of report that carry CTAPHID.
type reports struct{ in, out report }

// parseDescriptor finds the first FIDO collection of a report descriptor. isFIDO is right even if there is an
// error, as far as the descriptor could be read.
func parseDescriptor(b []byte) (r reports, isFIDO bool, err error) {
	if len(b) > maxDescriptor {
		return reports{}, false, fmt.Errorf("report descriptor of %d bytes is too long", len(b))
	}
	var p parser
	for len(b) > 0 {
		var it item
		if it, b, err = nextItem(b); err != nil {
			return reports{}, p.found, err
		}
		if err = p.apply(it); err != nil {
			return reports{}, p.found, err
		}
	}
	r, err = p.finish()
	return r, p.found, err
}

// item is one short item. Long items become one with a tag that nobody knows.
type item struct {
	tag   byte
	size  int // of the data: 0, 1, 2 or 4
	value uint32
}

func nextItem(b []byte) (it item, rest []byte, err error) {
	if b[0] == prefixLong {
		return nextLongItem(b)
	}
	size := [4]int{0, 1, 2, 4}[b[0]&3]
	if len(b) < 1+size {
		return item{}, nil, errTruncated
	}
	var data [4]byte
	copy(data[:], b[1:1+size])
	return item{b[0] &^ 3, size, binary.LittleEndian.Uint32(data[:])}, b[1+size:], nil
}

func nextLongItem(b []byte) (it item, rest []byte, err error) {
	if len(b) < 3 || len(b) < 3+int(b[1]) {
		return item{}, nil, errTruncated
	}
	return item{tag: prefixLong &^ 3}, b[3+int(b[1]):], nil
}

// parser is the item state table of HID 1.11, section 5.4, reduced to what finds a collection and measures it.
type parser struct {
	globals
	pushed []globals

	usage    item // the first Usage since the last main item
	hasUsage bool

	depth     int // of open collections
	fidoDepth int // depth of the FIDO collection while it is open, else 0
	found     bool
	in, out   field
}

type globals struct {
	page, size, count uint32
	number            byte
}

// field is the sum of the fields of one report.
type field struct {
	number byte
	bits   uint64
}

func (p *parser) apply(it item) error {
	if it.tag&typeMask != typeMain {
		return p.applyState(it)
	}
	err := p.applyMain(it)
	p.hasUsage = false
	return err
}

func (p *parser) applyState(it item) error {
	switch it.tag {
	case tagUsagePage:
		p.page = it.value
	case tagReportSize:
		p.size = it.value
	case tagReportCount:
		p.count = it.value
	case tagReportID:
		return p.setNumber(it.value)
	case tagPush:
		return p.push()
	case tagPop:
		return p.pop()
	case tagUsage:
		if !p.hasUsage {
			p.usage, p.hasUsage = it, true
		}
	}
	return nil
}

func (p *parser) applyMain(it item) error {
	switch it.tag {
	case tagInput:
		return p.add(&p.in)
	case tagOutput:
		return p.add(&p.out)
	case tagCollection:
		p.openCollection(it.value)
	case tagEndCollection:
		return p.closeCollection()
	}
	return nil
}

func (p *parser) setNumber(v uint32) error {
	if v == 0 || v > 0xFF {
		return fmt.Errorf("report descriptor has report ID %d", v)
	}
	p.number = byte(v)
	return nil
}

func (p *parser) push() error {
	if len(p.pushed) == maxPushed {
		return errors.New("report descriptor pushes too deep")
	}
	p.pushed = append(p.pushed, p.globals)
	return nil
}

func (p *parser) pop() error {
	last := len(p.pushed) - 1
	if last < 0 {
		return errors.New("report descriptor pops what was never pushed")
	}
	p.globals, p.pushed = p.pushed[last], p.pushed[:last]
	return nil
}

func (p *parser) openCollection(kind uint32) {
	p.depth++
	if !p.found && kind == collectionApplication && p.hasUsage && p.fullUsage() == fidoUsage {
		p.found, p.fidoDepth = true, p.depth
	}
}

// fullUsage is the usage with its page. A usage of 4 bytes brings its own; the others get the page that is in force
// at the main item, not at the Usage item.
func (p *parser) fullUsage() uint32 {
	if p.usage.size == 4 {
		return p.usage.value
	}
	return p.page<<16 | p.usage.value
}

func (p *parser) closeCollection() error {
	if p.depth == 0 {
		return errors.New("report descriptor closes a collection that was never opened")
	}
	if p.depth == p.fidoDepth {
		p.fidoDepth = 0
	}
	p.depth--
	return nil
}

// add adds a main item to a report of the FIDO collection. The first report of each direction is the one that
// counts.
func (p *parser) add(f *field) error {
	if p.fidoDepth == 0 || f.bits > 0 && f.number != p.number {
		return nil
	}
	f.number = p.number
	bits := uint64(p.size) * uint64(p.count)
	if bits > maxReport*8-f.bits {
		return fmt.Errorf("report descriptor has a report of more than %d bytes", maxReport)
	}
	f.bits += bits
	return nil
}

func (p *parser) finish() (reports, error) {
	switch {
	case p.depth != 0:
		return reports{}, errTruncated
	case !p.found:
		return reports{}, errNotFIDO
	case p.in.bits == 0 || p.out.bits == 0:
		return reports{}, errors.New("FIDO collection lacks an input or output report")
	}
	return reports{p.in.report(), p.out.report()}, nil
}

func (f field) report() report { return report{f.number, int(f.bits+7) / 8} }
