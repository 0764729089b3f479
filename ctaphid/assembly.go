package ctaphid

import "time"

// Message is one message of a transcript, whosever channel it is on: a device is heard by all who have opened it.
type Message struct {
	Time       time.Duration // of its first report, since the recording began
	FromDevice bool
	CID        uint32
	Command    Command
	Data       []byte
}

// Messages returns the messages of the transcript in the order in which they were complete, keepalives too. What is
// not whole or no message at all is left out.
func (t *Transcript) Messages() []Message {
	a := newAssembly(t.in, t.out)
	var all []Message
	for i := range t.events {
		if done, _ := a.add(&t.events[i]); done != nil {
			all = append(all, done.public())
		}
	}
	return all
}

// assembly puts messages together from the reports of both directions and all channels.
type assembly struct {
	in, out int
	open    map[flow]*parts
}

// flow is one direction of one channel, on which one packet follows the other.
type flow struct {
	fromDevice bool
	cid        uint32
}

// parts is a message with the reports that carry it.
type parts struct {
	message
	flow
	reports []*event
}

// maxOpen is how many messages may be incomplete at a time. Honest devices have one or two.
const maxOpen = 16

func newAssembly(in, out int) *assembly {
	return &assembly{in: in, out: out, open: make(map[flow]*parts)}
}

// add returns the message that is complete with e, or nil, and the reports of which is now certain that they belong
// to none.
func (a *assembly) add(e *event) (done *parts, stray []*event) {
	if !e.isReport() {
		return nil, nil
	}
	f := flow{fromDevice: e.kind == fromDevice}
	if e.size != a.sizeOf(f) {
		return nil, []*event{e}
	}
	report := e.report()
	f.cid = packetCID(report)
	if _, ok := isKeepalive(report); ok { // may come inside another message
		return single(f, e, report)
	}
	p := a.open[f]
	if report[4]&initBit != 0 || p == nil {
		stray = a.abandon(f)
		p = &parts{flow: f}
	}
	done, more := a.addTo(p, e, report)
	return done, append(stray, more...)
}

// single is for a message that has one packet or is none.
func single(f flow, e *event, report []byte) (done *parts, stray []*event) {
	p := &parts{flow: f, reports: []*event{e}}
	if complete, _ := p.add(report); !complete {
		return nil, p.reports
	}
	return p, nil
}

func (a *assembly) sizeOf(f flow) int {
	if f.fromDevice {
		return a.in
	}
	return a.out
}

// addTo adds a report to p, which stays open if it is not complete with it.
func (a *assembly) addTo(p *parts, e *event, report []byte) (done *parts, stray []*event) {
	p.reports = append(p.reports, e)
	complete, err := p.add(report)
	switch {
	case err != nil:
		delete(a.open, p.flow)
		return nil, p.reports
	case complete:
		delete(a.open, p.flow)
		return p, nil
	case len(a.open) >= maxOpen:
		stray = a.abandonAll()
	}
	a.open[p.flow] = p
	return nil, stray
}

// abandon returns the reports of the message that nothing will complete.
func (a *assembly) abandon(f flow) []*event {
	p := a.open[f]
	if p == nil {
		return nil
	}
	delete(a.open, f)
	return p.reports
}

func (a *assembly) abandonAll() (stray []*event) {
	for f := range a.open {
		stray = append(stray, a.abandon(f)...)
	}
	return stray
}

func (p *parts) public() Message {
	return Message{
		Time: p.reports[0].at, FromDevice: p.fromDevice, CID: p.cid, Command: p.cmd, Data: p.data,
	}
}

// scatter puts data, which is as long as the message, into its reports. What else they held is gone.
func (p *parts) scatter(data []byte) {
	for i, e := range p.reports {
		header := contHeader
		if i == 0 {
			header = initHeader
		}
		report := e.report()
		clear(report[header:])
		n := copy(report[header:], data)
		data, e.data = data[n:], trimZeros(report)
	}
}
