package virtual

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap1"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
)

// arrived returns what waits to be read, in words; equal reports in a row count as one.
func (w wire) arrived(cid uint32) (list []string) {
	w.t.Helper()
	synctest.Wait()
	for {
		w.mu.Lock()
		n := len(w.queue)
		w.mu.Unlock()
		if n == 0 {
			return list
		}
		p := make([]byte, 65)
		n, err := w.Read(p)
		require.NoError(w.t, err)
		if s := describe(p[:n], cid); len(list) == 0 || list[len(list)-1] != s {
			list = append(list, s)
		}
	}
}

func describe(p []byte, cid uint32) string {
	switch {
	case len(p) != 64:
		return fmt.Sprintf("%d bytes", len(p))
	case binary.BigEndian.Uint32(p) != cid:
		return "foreign"
	case p[4]&0x80 == 0:
		return fmt.Sprintf("packet %d", p[4])
	case p[4] == byte(ctaphid.CommandError)|0x80 && p[6] == 1:
		return fmt.Sprintf("error %d", p[7])
	case p[4] == byte(ctaphid.CommandKeepalive)|0x80:
		return "keepalive"
	}
	return fmt.Sprintf("%v %d", ctaphid.Command(p[4]&^0x80), binary.BigEndian.Uint16(p[5:]))
}

// Each fault at each report of an answer that has two.
func TestFaultsOfReports(t *testing.T) {
	t.Parallel()
	const whole, first, second = "PING 100", "PING 100", "packet 0"
	for name, tt := range map[string]struct {
		fault     Fault
		at0, at1  []string
		afterPing []string // what comes before the answer to the next message
	}{
		"Silence":          {fault: Silence, at1: []string{first}},
		"Lost":             {fault: Lost, at0: []string{second}, at1: []string{first}},
		"Late":             {fault: Late, at1: []string{first}},
		"KeepaliveForever": {KeepaliveForever, []string{"keepalive"}, []string{first, "keepalive"}, nil},
		"KeepaliveFlood":   {KeepaliveFlood, []string{"keepalive", first, second}, []string{first, "keepalive", second}, nil},
		"ForeignFrames":    {ForeignFrames, []string{"foreign", first, "foreign", second}, []string{first, "foreign", second, "foreign"}, nil},
		"ForeignForever":   {ForeignForever, []string{"foreign"}, []string{first, "foreign"}, nil},
		"StrayMessage":     {StrayMessage, []string{"PING 12", first, second}, []string{first, "PING 12", second}, nil},
		"StrayPacket":      {StrayPacket, []string{second, first, second}, []string{first, second}, nil},
		"WrongCommand":     {WrongCommand, []string{"command 0x7e 100", second}, []string{first, second}, nil},
		"WrongSequence":    {WrongSequence, []string{"packet 2", second}, []string{first, "packet 1"}, nil},
		"WrongChannel":     {WrongChannel, []string{"foreign", second}, []string{first, "foreign"}, nil},
		"Empty":            {Empty, []string{"PING 0"}, []string{first, "PING 0"}, nil},
		"EmptyError":       {EmptyError, []string{"ERROR 0"}, []string{first, "ERROR 0"}, nil},
		"TooLong":          {TooLong, []string{"PING 7610", second}, []string{first, second}, nil},
		"ShortReport":      {ShortReport, []string{"63 bytes", second}, []string{first, "63 bytes"}, nil},
		"LongReport":       {LongReport, []string{"65 bytes", second}, []string{first, "65 bytes"}, nil},
		"EmptyReport":      {EmptyReport, []string{"0 bytes", second}, []string{first, "0 bytes"}, nil},
		"Failure":          {Failure(ctaphid.ErrOther), []string{"error 127"}, []string{first, "error 127"}, nil},
		"none":             {func(r *Report) { r.Send(r.Data) }, []string{first, second}, []string{first, second}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for index, want := range [][]string{tt.at0, tt.at1} {
				synctest.Test(t, func(t *testing.T) {
					key, _ := newKey(t, Config{Faults: Faults{Report: At(1, index, tt.fault)}})
					defer key.Close()
					w := open(t, key)
					cid := w.channel()
					w.message(cid, ctaphid.CommandPing, make([]byte, 100)...)
					require.Equal(t, want, w.arrived(cid))
					w.message(cid, ctaphid.CommandPing)
					wantNext := []string{"PING 0"}
					if name == "Late" {
						wantNext = append([]string{first, second}[index:], wantNext...)
					}
					require.Equal(t, wantNext, w.arrived(cid), whole)
					time.Sleep(time.Minute)
					require.Empty(t, w.arrived(cid), "over")
				})
			}
		})
	}
}

func TestFaultTwice(t *testing.T) {
	t.Parallel()
	key, _ := newKey(t, Config{Faults: Faults{Report: At(1, 1, Twice)}})
	w := open(t, key)
	cid := w.channel()
	w.message(cid, ctaphid.CommandPing, make([]byte, 100)...)
	w.receive(cid)
	require.Equal(t, byte(0), w.read(cid)[4], "once more")
	w.expectNothing(cid)
}

func TestFaultsThatTakeTime(t *testing.T) {
	t.Parallel()
	run := func(name string, f Fault, check func(t *testing.T, w wire, cid uint32)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				key, _ := newKey(t, Config{Faults: Faults{Report: f}})
				defer key.Close()
				w := open(t, key)
				cid := w.channel()
				w.message(cid, ctaphid.CommandPing, make([]byte, 100)...)
				check(t, w, cid)
			})
		})
	}
	run("each report", func(r *Report) {
		if r.Request == ctaphid.CommandPing {
			r.Wait(time.Second)
		}
		r.Send(r.Data)
	}, func(t *testing.T, w wire, cid uint32) {
		require.Empty(t, w.arrived(cid))
		time.Sleep(time.Second)
		require.Equal(t, []string{"PING 100"}, w.arrived(cid))
		w.message(ctaphid.BroadcastCID, ctaphid.CommandInit, make([]byte, 8)...)
		require.Equal(t, []string{"foreign"}, w.arrived(cid), "others do not wait")
		time.Sleep(time.Second)
		require.Equal(t, []string{"packet 0"}, w.arrived(cid))
	})
	run("the rest", At(1, 0, Delay(time.Second)), func(t *testing.T, w wire, cid uint32) {
		require.Empty(t, w.arrived(cid))
		time.Sleep(time.Second)
		require.Equal(t, []string{"PING 100", "packet 0"}, w.arrived(cid))
	})
	run("keepalives", At(1, 0, KeepaliveForever), func(t *testing.T, w wire, cid uint32) {
		for range 1000 {
			require.Equal(t, []string{"keepalive"}, w.arrived(cid))
			time.Sleep(keepaliveInterval)
		}
		w.message(cid, ctaphid.CommandCancel)
		require.Equal(t, []string{"keepalive"}, w.arrived(cid))
		time.Sleep(keepaliveInterval)
		require.Equal(t, []string{"keepalive"}, w.arrived(cid), "cancelling does not help")
	})
	run("the same again and again", At(1, 0, func(r *Report) { r.Repeat(time.Second, r.Data) }),
		func(t *testing.T, w wire, cid uint32) {
			for range 3 {
				p := make([]byte, 64)
				w.Read(p)
				require.Equal(t, "PING 100", describe(p, cid))
				require.Empty(t, w.arrived(cid))
				time.Sleep(time.Second)
				synctest.Wait()
			}
			w.message(cid, ctaphid.CommandPing)
			require.Equal(t, []string{"PING 100", "packet 0", "PING 0"}, w.arrived(cid))
		})
	run("cut by the power", At(1, 1, func(r *Report) {
		r.Wait(time.Second)
		r.Send(r.Data)
		r.Repeat(time.Second, r.Data)
	}), func(t *testing.T, w wire, cid uint32) {
		time.Sleep(3 * time.Second)
		require.Equal(t, []string{"PING 100", "packet 0"}, w.arrived(cid))
		w.key.PowerCycle()
		time.Sleep(time.Minute)
		require.Empty(t, w.arrived(cid))
	})
}

func TestFaultsOfINIT(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault  Fault
		change func(answer []byte) []byte
	}{
		"WrongNonce":      {WrongNonce, func(b []byte) []byte { b[0]++; return b }},
		"ShortInit":       {ShortInit, func(b []byte) []byte { return b[:16] }},
		"ReservedChannel": {ReservedChannel, func(b []byte) []byte { return append(b[:8], append(make([]byte, 4), b[12:]...)...) }},
		"BroadcastOnly":   {BroadcastOnly, func(b []byte) []byte { copy(b[8:], "\xff\xff\xff\xff"); return b }},
		"OtherChannel":    {OtherChannel, func(b []byte) []byte { b[8] ^= 1; return b }},
		"LongInit":        {LongInit, func(b []byte) []byte { return append(b, make([]byte, 40)...) }},
	} {
		key, _ := newKey(t, Config{Faults: Faults{Report: tt.fault}})
		w := open(t, key)
		nonce := bytes.Repeat([]byte{2}, 8)
		w.message(ctaphid.BroadcastCID, ctaphid.CommandInit, nonce...)
		_, got := w.receive(ctaphid.BroadcastCID)
		good := binary.BigEndian.AppendUint32(nonce, onlyChannel(key))
		require.Equal(t, tt.change(append(good, 2, 1, 0, 0, 5)), got, name)
		ping := bytes.Repeat([]byte{3}, 17)
		w.message(onlyChannel(key), ctaphid.CommandPing, ping...)
		w.expect(onlyChannel(key), ctaphid.CommandPing, ping...) // nothing but INIT is touched
	}
}

func onlyChannel(key *Authenticator) uint32 {
	for cid := range key.bus.channels {
		return cid
	}
	return 0
}

func TestFaultUnplugged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key, _ := newKey(t, Config{UserPresence: stall, Faults: Faults{Report: func(r *Report) {
			if r.Request == ctaphid.CommandCBOR && r.Index == 1 {
				r.Unplug()
			}
			r.Send(r.Data)
		}}})
		defer key.Close()
		a, b := open(t, key), open(t, key)
		a.message(a.channel(), ctaphid.CommandCBOR, selection...)
		time.Sleep(time.Second)
		synctest.Wait()
		for _, w := range []wire{a, b} {
			_, err := w.Read(make([]byte, 64))
			require.ErrorIs(t, err, fs.ErrClosed)
		}
		_, err := key.Device().Read(make([]byte, 64))
		require.ErrorIs(t, err, fs.ErrClosed)
		require.Nil(t, key.bus.running)
	})
}

func TestFaultRefuse(t *testing.T) {
	t.Parallel()
	var asked []int
	key, _ := newKey(t, Config{Faults: Faults{Refuse: func(transaction int, cmd ctaphid.Command) ctaphid.Error {
		asked = append(asked, transaction)
		if cmd == ctaphid.CommandPing && transaction < 3 {
			return ctaphid.ErrLockRequired
		}
		return 0
	}}})
	w := open(t, key)
	cid := w.channel()
	for range 2 {
		w.message(cid, ctaphid.CommandPing, make([]byte, 100)...)
		w.expectError(cid, ctaphid.ErrLockRequired)
	}
	w.message(cid, ctaphid.CommandCancel)
	w.expectNothing(cid)
	require.Equal(t, []int{0, 1, 2, 3}, asked)
}

func TestFaultIgnoreCancel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		key, _ := newKey(t, Config{
			UserPresence: stall, TouchTimeout: 50 * time.Millisecond, Faults: Faults{IgnoreCancel: true},
		})
		w := open(t, key)
		cid := w.channel()
		w.message(cid, ctaphid.CommandCBOR, selection...)
		w.message(cid, ctaphid.CommandCancel)
		w.expect(cid, ctaphid.CommandKeepalive, ctaphid.KeepaliveUPNeeded)
		w.expect(cid, ctaphid.CommandKeepalive, ctaphid.KeepaliveProcessing)
		w.expect(cid, ctaphid.CommandCBOR, byte(ctap2.ErrUserActionTimeout))
	})
}

func TestFaultAnswer(t *testing.T) {
	t.Parallel()
	key, client := newKey(t, Config{Faults: Faults{Answer: func(
		cmd ctaphid.Command, request []byte, run func() []byte,
	) []byte {
		switch {
		case cmd == ctaphid.CommandMsg:
			return append(run(), 0x61)
		case request[0] == byte(ctap2.CommandGetInfo):
			return []byte{byte(ctap2.ErrInvalidCommand)}
		case request[0] == byte(ctap2.CommandSelection):
			return make([]byte, 10000)
		}
		return run()
	}}})
	_, err := client.GetInfo(t.Context())
	require.ErrorIs(t, err, ctap2.ErrInvalidCommand)
	register(t, client, newRequest())
	answer, err := key.Msg(t.Context(), []byte{0, 3, 0, 0})
	require.NoError(t, err)
	require.Equal(t, "U2F_V2\x90\x00\x61", string(answer))

	w := open(t, key)
	cid := w.channel()
	w.message(cid, ctaphid.CommandMsg, 0, 9, 0, 0)
	w.expect(cid, ctaphid.CommandMsg, 0x6d, 0, 0x61)
	w.message(cid, ctaphid.CommandCBOR, selection...)
	w.expect(cid, ctaphid.CommandCBOR, make([]byte, 7609)...)
	_, err = (&ctap1.Client{Transport: key}).Version(t.Context())
	require.Error(t, err)
}
