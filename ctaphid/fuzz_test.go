package ctaphid

import (
	"bytes"
	"slices"
	"testing"

	"github.com/keyfob-go/keyfob/internal/seeds"
)

// Whatever the packets, a message stays within its announced size and the report size's limit, and a message that
// comes out is the one that its packets, cut again, would carry.
func FuzzMessage(f *testing.F) {
	seeds.Add(f, "reports")
	f.Add(bytes.Join(reports(64, 1, CommandCBOR, pattern(200)), nil))
	f.Add(bytes.Join(reports(64, 1, CommandError, []byte{6}), nil))
	f.Add(bytes.Join(reports(64, 1, CommandPing, pattern(7609)), nil))
	f.Add(make([]byte, 64))
	f.Fuzz(func(t *testing.T, stream []byte) {
		var m message
		var used [][]byte
		for report := range slices.Chunk(stream, 64) {
			if len(report) < 64 {
				return
			}
			isKeepalive(report)
			complete, err := m.add(report)
			if len(m.data) > maxMessage(64) {
				t.Fatalf("message of %d bytes", len(m.data))
			}
			if err != nil {
				return
			}
			used = append(used, report)
			if !complete {
				continue
			}
			for i, r := range reports(64, packetCID(report), m.cmd, m.data) {
				if part := used[i]; !bytes.Equal(part[4:7], r[4:7]) && i == 0 {
					t.Fatalf("packet %d: %x instead of %x", i, part, r)
				}
			}
			return
		}
	})
}

func FuzzInitReply(f *testing.F) {
	seeds.Add(f, "init-replies")
	f.Add(initAnswer(pattern(8), 5))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := parseInitReply(data)
		if err == nil && (r.cid == 0 || r.cid == BroadcastCID || len(data) < initReplySize) {
			t.Fatalf("accepted %x", data)
		}
	})
}
