package authenticator

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/virtual"
)

// exchanged is a command and its answer.
type exchanged struct{ request, answer []byte }

// listen plays with a good key and returns what it says.
func listen(t *testing.T, u2f bool) (heard []exchanged) {
	t.Helper()
	c := hostileCase{name: "good", u2f: u2f, faults: func() virtual.Faults {
		return virtual.Faults{Answer: func(_ ctaphid.Command, request []byte, run func() []byte) []byte {
			answer := run()
			heard = append(heard, exchanged{request, answer})
			return answer
		}}
	}}
	require.NoError(t, c.run(t))
	require.NotEmpty(t, heard)
	return heard
}

// answersFrom is the fault that tell makes so many answers, beginning with the nth: from those of the key if it runs
// the commands, else from nothing.
func answersFrom(n, times int, runs bool, tell func(answer []byte) []byte) func() virtual.Faults {
	return func() virtual.Faults {
		var answers atomic.Int64 // a key that was given up may still be at the one before
		return virtual.Faults{Answer: func(_ ctaphid.Command, _ []byte, run func() []byte) []byte {
			count := int(answers.Add(1))
			switch wrong := count > n && count <= n+times; {
			case !wrong:
				return run()
			case runs:
				return tell(run())
			}
			return tell(nil)
		}}
	}
}

// statusCases are all statuses in place of each answer, once and from there on.
func statusCases(t *testing.T) (cases []hostileCase) {
	statuses := []ctap2.Status{ctap2.ErrOther, 0xdf, 0xe0, 0xf0, 0xff}
	for s := ctap2.Status(1); s <= ctap2.ErrUnauthorizedPermission; s++ {
		statuses = append(statuses, s)
	}
	for n, e := range listen(t, false) {
		command := ctap2.Command(e.request[0])
		for _, s := range statuses {
			for _, times := range []int{1, 1 << 20} {
				cases = append(cases, hostileCase{
					name:   fmt.Sprintf("CTAP2, command %d (%v): %d times status %#x", n, command, times, byte(s)),
					faults: answersFrom(n, times, false, func([]byte) []byte { return []byte{byte(s)} }),
				})
			}
		}
	}
	return cases
}

// statusWordCases are the same for U2F.
func statusWordCases(t *testing.T) (cases []hostileCase) {
	words := []uint16{
		0x6100, 0x61ff, 0x6700, 0x6982, 0x6984, 0x6985, 0x6986, 0x6a80, 0x6a81, 0x6c00, 0x6d00, 0x6e00, 0x6f00, 0x9000, 0,
	}
	for n := range listen(t, true) {
		for _, sw := range words {
			for _, times := range []int{1, 1 << 20} {
				cases = append(cases, hostileCase{
					name:   fmt.Sprintf("U2F, command %d: %d times status %#04x", n, times, sw),
					u2f:    true,
					faults: answersFrom(n, times, false, func([]byte) []byte { return binary.BigEndian.AppendUint16(nil, sw) }),
				})
			}
		}
	}
	return cases
}

// u2fCases are all changes of the bytes of each answer.
func u2fCases(t *testing.T) (cases []hostileCase) {
	for n, e := range listen(t, true) {
		for _, m := range byteMutations(e.answer) {
			cases = append(cases, hostileCase{
				name:   fmt.Sprintf("U2F, command %d: %s", n, m.name),
				u2f:    true,
				faults: answersFrom(n, 1, true, m.apply),
			})
		}
	}
	return cases
}

// cborCases are all changes of the bytes and of the items of each answer.
func cborCases(t *testing.T) (cases []hostileCase) {
	for n, e := range listen(t, false) {
		for _, m := range mutationsOf(e) {
			cases = append(cases, hostileCase{
				name:   fmt.Sprintf("CTAP2, command %d (%v): %s", n, ctap2.Command(e.request[0]), m.name),
				faults: answersFrom(n, 1, true, m.apply),
			})
		}
	}
	return cases
}

func mutationsOf(e exchanged) []mutation {
	mutations := slices.Concat(byteMutations(e.answer), itemMutations(e.answer))
	switch ctap2.Command(e.request[0]) {
	case makeCredential, getAssertion, getNextAssertion:
		mutations = append(mutations, authDataMutations(e.answer)...)
	}
	return mutations
}
