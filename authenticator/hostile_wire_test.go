package authenticator

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/virtual"
)

// position is a report of an answer.
type position struct{ transaction, index int }

// rehearse plays with a good key and returns where it sends reports.
func rehearse(t *testing.T, u2f bool) (reports []position) {
	t.Helper()
	c := hostileCase{name: "good", u2f: u2f, faults: func() virtual.Faults {
		return virtual.Faults{Report: func(r *virtual.Report) {
			reports = append(reports, position{r.Transaction, r.Index})
			r.Send(r.Data)
		}}
	}}
	require.NoError(t, c.run(t))
	return reports
}

// wireFaults are tried at each report.
var wireFaults = map[string]virtual.Fault{
	"silence":            virtual.Silence,
	"lost":               virtual.Lost,
	"twice":              virtual.Twice,
	"late":               virtual.Late,
	"keepalives forever": virtual.KeepaliveForever,
	"keepalive flood":    virtual.KeepaliveFlood,
	"foreign frames":     virtual.ForeignFrames,
	"foreign forever":    virtual.ForeignForever,
	"stray message":      virtual.StrayMessage,
	"stray packet":       virtual.StrayPacket,
	"wrong command":      virtual.WrongCommand,
	"wrong sequence":     virtual.WrongSequence,
	"wrong channel":      virtual.WrongChannel,
	"empty":              virtual.Empty,
	"empty error":        virtual.EmptyError,
	"too long":           virtual.TooLong,
	"short report":       virtual.ShortReport,
	"long report":        virtual.LongReport,
	"empty report":       virtual.EmptyReport,
	"unplugged":          virtual.Unplugged,
	"half a second":      virtual.Delay(500 * time.Millisecond),
	"seven seconds":      virtual.Delay(7 * time.Second),
	"a minute":           virtual.Delay(time.Minute),
	"error":              virtual.Failure(ctaphid.ErrOther),
	"unknown error":      virtual.Failure(0x55),
}

// harmlessFaults must go unnoticed.
var harmlessFaults = map[string]bool{
	"keepalive flood": true, "foreign frames": true, "half a second": true, "long INIT": true,
}

var initFaults = map[string]virtual.Fault{
	"wrong nonce":      virtual.WrongNonce,
	"short INIT":       virtual.ShortInit,
	"long INIT":        virtual.LongInit,
	"reserved channel": virtual.ReservedChannel,
	"broadcast only":   virtual.BroadcastOnly,
	"other channel":    virtual.OtherChannel,
	"silence":          virtual.Silence,
	"late":             virtual.Late,
	"keepalives":       virtual.KeepaliveForever,
}

// wireCases are all faults at all reports.
func wireCases(t *testing.T, u2f bool) (cases []hostileCase) {
	for _, p := range rehearse(t, u2f) {
		add := func(name string, fault func() virtual.Fault) *hostileCase {
			cases = append(cases, hostileCase{
				name:     fmt.Sprintf("%s, report %d of transaction %d: %s", protocolName(u2f), p.index, p.transaction, name),
				u2f:      u2f,
				faults:   func() virtual.Faults { return virtual.Faults{Report: fault()} },
				harmless: harmlessFaults[name],
			})
			return &cases[len(cases)-1]
		}
		at := func(f virtual.Fault) func() virtual.Fault {
			return func() virtual.Fault { return virtual.At(p.transaction, p.index, f) }
		}
		for name, f := range wireFaults {
			add(name, at(f)).removed = name == "unplugged"
		}
		// The answer that was given up comes while the next request waits for its touch.
		add("stale", at(virtual.Delay(7*time.Second))).touch = 3 * time.Second
		for name, f := range initFaults {
			switch {
			case p.transaction == 0:
				add(name, at(f))
			case p.index == 0:
				add("silence, then at the resync "+name, func() virtual.Fault { return p.thenAtInit(1, f) })
				add("silence, then at the new channel "+name, func() virtual.Fault { return p.thenAtInit(2, f) })
			}
		}
	}
	return cases
}

func protocolName(u2f bool) string {
	if u2f {
		return "U2F"
	}
	return "CTAP2"
}

// thenAtInit is silence at p, and f at the answer to the nth INIT after that.
func (p position) thenAtInit(n int, f virtual.Fault) virtual.Fault {
	silence := virtual.At(p.transaction, p.index, virtual.Silence)
	return func(r *virtual.Report) {
		if r.Transaction > p.transaction && r.Request == ctaphid.CommandInit {
			if n--; n == 0 {
				f(r)
				return
			}
		}
		silence(r)
	}
}

// refusalCases are errors in place of each answer, while the key does nothing.
func refusalCases(t *testing.T, u2f bool) (cases []hostileCase) {
	reports := rehearse(t, u2f)
	for first := range reports[len(reports)-1].transaction + 1 {
		for code, times := range map[ctaphid.Error][]int{
			ctaphid.ErrInvalidCommand:   {1},
			ctaphid.ErrInvalidParameter: {1},
			ctaphid.ErrInvalidLength:    {1},
			ctaphid.ErrInvalidSeq:       {1},
			ctaphid.ErrMessageTimeout:   {1},
			ctaphid.ErrChannelBusy:      {1, 20, 1 << 20},
			ctaphid.ErrLockRequired:     {1, 1 << 20},
			ctaphid.ErrInvalidChannel:   {1, 2, 1 << 20},
			ctaphid.ErrOther:            {1, 1 << 20},
			0x55:                        {1},
		} {
			for _, n := range times {
				cases = append(cases, hostileCase{
					name:     fmt.Sprintf("%s, transaction %d: refused %d times: %v", protocolName(u2f), first, n, code),
					u2f:      u2f,
					harmless: code == ctaphid.ErrChannelBusy && n <= 20 || code == ctaphid.ErrInvalidChannel && n == 1 && first > 0,
					faults: func() virtual.Faults {
						return virtual.Faults{Refuse: func(transaction int, _ ctaphid.Command) ctaphid.Error {
							if transaction >= first && transaction < first+n {
								return code
							}
							return 0
						}}
					},
				})
			}
		}
	}
	return cases
}

// absentCases are users who do not touch the key before the program cancels.
func absentCases() (cases []hostileCase) {
	for _, u2f := range []bool{false, true} {
		for _, ignore := range []bool{false, true} {
			cases = append(cases, hostileCase{
				name:   fmt.Sprintf("%s, nobody touches the key, which ignores CANCEL: %v", protocolName(u2f), ignore),
				u2f:    u2f,
				touch:  time.Hour,
				faults: func() virtual.Faults { return virtual.Faults{IgnoreCancel: ignore} },
			})
		}
	}
	return cases
}
