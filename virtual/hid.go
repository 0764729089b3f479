package virtual

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
)

// Sizes and times of CTAPHID, section 11.2.
const (
	reportSize        = 64
	initHeaderSize    = 4 + 1 + 2
	nextHeaderSize    = 4 + 1
	maxPayload        = reportSize - initHeaderSize + 128*(reportSize-nextHeaderSize)
	packetTimeout     = 500 * time.Millisecond // between two packets of a request
	keepaliveInterval = 100 * time.Millisecond
	maxLockSeconds    = 10
	maxChannels       = 256 // the one that was silent longest makes room for another
	nonceSize         = 8
	initBit           = 0x80 // marks the first packet of a message
	protocolVersion   = 2
)

// bus is the key's side of CTAPHID: it puts requests together and runs them, one at a time, for all that have
// opened the key. As on a real bus, each of them sees every report that the key sends.
type bus struct {
	key          *Authenticator
	transactions sync.WaitGroup

	mu          sync.Mutex // guards the fields below; taken after the Authenticator's
	closed      bool
	opens       map[*Device]struct{}
	channels    map[uint32]*channel
	clock       uint64       // counts packets, to find the channel that was silent longest
	request     *reception   // being received; nil for none
	running     *transaction // nil for none
	lockedBy    *channel
	lockedUntil time.Time
	exchanges   int         // so far
	paused      []*exchange // with something left to send
}

// channel is a platform's own line to the key.
type channel struct {
	cid      uint32
	session  session // guarded by the Authenticator's mutex
	lastUsed uint64
}

// reception is a request of which not all packets have arrived.
type reception struct {
	*exchange
	channel *channel
	from    *Device
	size    int
	payload []byte
	nextSeq byte
	timeout *time.Timer
}

// transaction is a request that runs.
type transaction struct {
	*exchange
	channel   *channel
	from      *Device
	cancel    context.CancelCauseFunc
	status    byte // of the next keepalive
	keepalive *time.Timer
}

var (
	errCancelled = errors.New("cancelled by the platform")
	errAborted   = errors.New("aborted") // nobody waits for an answer
)

func (b *bus) init(key *Authenticator) {
	b.key = key
	b.opens = make(map[*Device]struct{})
	b.channels = make(map[uint32]*channel)
}

// powerUp forgets all but the opens.
func (b *bus) powerUp() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dropRequest()
	b.abort()
	b.forgetAll()
	clear(b.channels)
	b.lockedBy = nil
}

// receive takes one report from a platform.
func (b *bus) receive(from *Device, r *[reportSize]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	cid := binary.BigEndian.Uint32(r[:])
	ch := b.channels[cid]
	if ch != nil {
		b.clock++
		ch.lastUsed = b.clock
	}
	if r[4]&initBit == 0 {
		b.nextPacket(ch, r[4], r[nextHeaderSize:])
		return
	}
	cmd := ctaphid.Command(r[4] &^ initBit)
	if cmd == ctaphid.CommandCancel {
		b.cancel(ch)
		return
	}
	b.resume()
	p := &reception{
		exchange: b.newExchange(cmd),
		channel:  ch,
		from:     from,
		size:     int(binary.BigEndian.Uint16(r[5:])),
	}
	switch refusal := b.refusal(p.exchange); {
	case refusal != 0:
		b.fail(p.exchange, cid, refusal)
	case cmd == ctaphid.CommandInit:
		b.initialize(cid, p, r[initHeaderSize:])
	case ch == nil: // also the broadcast channel, and 0, which is nobody's
		b.fail(p.exchange, cid, ctaphid.ErrInvalidChannel)
	default:
		b.firstPacket(p, r[initHeaderSize:])
	}
}

func (b *bus) refusal(x *exchange) ctaphid.Error {
	if refuse := b.key.config.Faults.Refuse; refuse != nil {
		return refuse(x.number, x.command)
	}
	return 0
}

// initialize gives a platform a channel, or takes back the one that it has (section 11.2.9.1.3). It works while the
// key is busy: it disturbs nobody else.
func (b *bus) initialize(cid uint32, p *reception, data []byte) {
	ch := p.channel
	switch {
	case cid == ctaphid.BroadcastCID && p.size == nonceSize:
		ch = b.allocate()
	case cid != ctaphid.BroadcastCID && ch == nil:
		b.fail(p.exchange, cid, ctaphid.ErrInvalidChannel)
		return
	case p.size != nonceSize:
		b.fail(p.exchange, cid, ctaphid.ErrInvalidLength)
		return
	default:
		b.resync(ch)
	}
	answer := append([]byte{}, data[:nonceSize]...)
	answer = binary.BigEndian.AppendUint32(answer, ch.cid)
	answer = append(answer, protocolVersion, 1, 0, 0, byte(b.key.config.capabilities())) // device version 1.0.0
	b.send(p.exchange, cid, ctaphid.CommandInit, answer)
}

func (c *Config) capabilities() ctaphid.Capabilities {
	capabilities := ctaphid.CapabilityWink
	if c.takes(ctaphid.CommandCBOR) {
		capabilities |= ctaphid.CapabilityCBOR
	}
	if !c.takes(ctaphid.CommandMsg) {
		capabilities |= ctaphid.CapabilityNoMsg
	}
	return capabilities
}

// takes reports whether the key knows a command that not all keys know.
func (c *Config) takes(cmd ctaphid.Command) bool {
	switch cmd {
	case ctaphid.CommandCBOR:
		return !c.U2FOnly
	case ctaphid.CommandMsg:
		return !c.NoU2F
	}
	return false
}

func (b *bus) allocate() *channel {
	if len(b.channels) >= maxChannels {
		b.evict()
	}
	b.clock++
	ch := &channel{lastUsed: b.clock}
	for ch.cid == 0 || ch.cid == ctaphid.BroadcastCID || b.channels[ch.cid] != nil {
		var random [4]byte // so that a channel from before a power cycle is nobody's
		rand.Read(random[:])
		ch.cid = binary.BigEndian.Uint32(random[:])
	}
	b.channels[ch.cid] = ch
	return ch
}

func (b *bus) evict() {
	var oldest *channel
	for _, ch := range b.channels {
		if !b.isOccupied(ch) && (oldest == nil || ch.lastUsed < oldest.lastUsed) {
			oldest = ch
		}
	}
	delete(b.channels, oldest.cid) // at most three are occupied
}

func (b *bus) isOccupied(ch *channel) bool {
	return b.request != nil && b.request.channel == ch || b.running != nil && b.running.channel == ch || b.lockedBy == ch
}

// resync ends what goes on in the channel, without an answer.
func (b *bus) resync(ch *channel) {
	if b.request != nil && b.request.channel == ch {
		b.dropRequest()
	}
	if b.running != nil && b.running.channel == ch {
		b.abort()
	}
}

func (b *bus) dropRequest() {
	if b.request != nil {
		b.request.timeout.Stop()
		b.request = nil
	}
}

func (b *bus) abort() {
	if b.running != nil {
		b.running.keepalive.Stop()
		b.running.cancel(errAborted)
		b.running = nil
	}
}

func (b *bus) firstPacket(p *reception, data []byte) {
	ch := p.channel
	switch {
	case b.request != nil && b.request.channel == ch:
		b.dropRequest()
		b.fail(p.exchange, ch.cid, ctaphid.ErrInvalidSeq)
	case b.isBusy(ch):
		b.fail(p.exchange, ch.cid, ctaphid.ErrChannelBusy)
	case p.size > maxPayload:
		b.fail(p.exchange, ch.cid, ctaphid.ErrInvalidLength)
	default:
		b.begin(p, data)
	}
}

// isBusy reports whether a new request of the channel has to wait for another, or for the end of another's lock.
func (b *bus) isBusy(ch *channel) bool {
	locked := b.lockedBy != nil && b.lockedBy != ch && time.Now().Before(b.lockedUntil)
	return b.request != nil || b.running != nil || locked
}

// cancel ends the channel's CBOR request, which then answers KEEPALIVE_CANCEL. There is nothing else to cancel, and
// no answer to CANCEL itself (section 11.2.9.1.5).
func (b *bus) cancel(ch *channel) {
	if b.key.config.Faults.IgnoreCancel {
		return
	}
	if b.running != nil && b.running.channel == ch && b.running.command == ctaphid.CommandCBOR {
		b.running.cancel(errCancelled)
	}
}

func (b *bus) begin(p *reception, data []byte) {
	p.timeout = time.AfterFunc(packetTimeout, func() { b.timeOut(p) })
	b.request = p
	b.add(p, data)
}

func (b *bus) timeOut(p *reception) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.request == p {
		b.request = nil
		b.fail(p.exchange, p.channel.cid, ctaphid.ErrMessageTimeout)
	}
}

// nextPacket ignores packets that belong to no request: the key may have given up on it before (section 11.2.4).
func (b *bus) nextPacket(ch *channel, seq byte, data []byte) {
	p := b.request
	if p == nil || p.channel != ch {
		return
	}
	if seq != p.nextSeq {
		b.dropRequest()
		b.fail(p.exchange, ch.cid, ctaphid.ErrInvalidSeq)
		return
	}
	p.nextSeq++
	p.timeout.Reset(packetTimeout)
	b.add(p, data)
}

func (b *bus) add(p *reception, data []byte) {
	p.payload = append(p.payload, data[:min(len(data), p.size-len(p.payload))]...)
	if len(p.payload) == p.size {
		b.dropRequest()
		b.execute(p)
	}
}

// execute runs a request that is complete.
func (b *bus) execute(p *reception) {
	cid := p.channel.cid
	switch p.command {
	case ctaphid.CommandPing:
		b.send(p.exchange, cid, p.command, p.payload)
	case ctaphid.CommandWink:
		b.wink(p)
	case ctaphid.CommandLock:
		b.lock(p)
	default:
		b.start(p)
	}
}

func (b *bus) wink(p *reception) {
	if p.size != 0 {
		b.fail(p.exchange, p.channel.cid, ctaphid.ErrInvalidLength)
		return
	}
	b.send(p.exchange, p.channel.cid, p.command, nil)
	if wink := b.key.config.Wink; wink != nil {
		b.mu.Unlock()
		defer b.mu.Lock()
		wink()
	}
}

// lock keeps others from the key for some seconds; none at all ends it (section 11.2.9.2.2).
func (b *bus) lock(p *reception) {
	switch {
	case p.size != 1:
		b.fail(p.exchange, p.channel.cid, ctaphid.ErrInvalidLength)
		return
	case p.payload[0] > maxLockSeconds:
		b.fail(p.exchange, p.channel.cid, ctaphid.ErrInvalidParameter)
		return
	}
	b.lockedBy = p.channel
	b.lockedUntil = time.Now().Add(time.Duration(p.payload[0]) * time.Second)
	b.send(p.exchange, p.channel.cid, p.command, nil)
}

// start runs a CTAP2 or U2F command in the background.
func (b *bus) start(p *reception) {
	switch {
	case !b.key.config.takes(p.command):
		b.fail(p.exchange, p.channel.cid, ctaphid.ErrInvalidCommand)
		return
	case p.size == 0:
		b.fail(p.exchange, p.channel.cid, ctaphid.ErrInvalidLength)
		return
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	t := &transaction{
		exchange: p.exchange, channel: p.channel, from: p.from,
		cancel: cancel, status: ctaphid.KeepaliveProcessing,
	}
	t.keepalive = time.AfterFunc(keepaliveInterval, func() { b.sendKeepalive(t) })
	b.running = t
	b.transactions.Go(func() {
		c := &call{session: &p.channel.session, keepalive: func(status byte) { b.setStatus(t, status) }}
		answer, err := b.key.execute(ctx, t.command, c, p.payload)
		cancel(nil)
		b.finish(t, answer, err)
	})
}

func (b *bus) finish(t *transaction, answer []byte, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.running != t {
		return // aborted
	}
	t.keepalive.Stop()
	b.running = nil
	if err != nil {
		answer = []byte{byte(ctap2.ErrKeepaliveCancel)}
	}
	b.send(t.exchange, t.channel.cid, t.command, answer)
}

// setStatus sends a keepalive at once when there is something new to tell.
func (b *bus) setStatus(t *transaction, status byte) {
	b.mu.Lock()
	changed := t.status != status
	t.status = status
	b.mu.Unlock()
	if changed {
		b.sendKeepalive(t)
	}
}

func (b *bus) sendKeepalive(t *transaction) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.running == t && t.command == ctaphid.CommandCBOR {
		b.send(t.exchange, t.channel.cid, ctaphid.CommandKeepalive, []byte{t.status})
		t.keepalive.Reset(keepaliveInterval)
	}
}

func (b *bus) fail(x *exchange, cid uint32, code ctaphid.Error) {
	b.send(x, cid, ctaphid.CommandError, []byte{byte(code)})
}

// send cuts a message into reports. What is too long for a message is cut off: only a fault makes such answers.
func (b *bus) send(x *exchange, cid uint32, cmd ctaphid.Command, payload []byte) {
	payload = payload[:min(len(payload), maxPayload)]
	b.post(x, frame(cid, cmd, payload))
	n := reportSize - initHeaderSize
	for seq := byte(0); n < len(payload); seq++ {
		r := make([]byte, reportSize)
		binary.BigEndian.PutUint32(r, cid)
		r[4] = seq
		n += copy(r[nextHeaderSize:], payload[n:])
		b.post(x, r)
	}
}

// frame returns the first report of a message.
func frame(cid uint32, cmd ctaphid.Command, payload []byte) []byte {
	r := make([]byte, reportSize)
	binary.BigEndian.PutUint32(r, cid)
	r[4] = byte(cmd) | initBit
	binary.BigEndian.PutUint16(r[5:], uint16(len(payload)))
	copy(r[initHeaderSize:], payload)
	return r
}

// broadcast hands r to all, who share it.
func (b *bus) broadcast(r []byte) {
	for d := range b.opens {
		d.deliver(r)
	}
}

// unplug ends all that goes over the bus.
func (b *bus) unplug() {
	b.closed = true
	b.dropRequest()
	b.abort()
	b.forgetAll()
	for d := range b.opens {
		d.shut()
	}
	clear(b.opens)
}
