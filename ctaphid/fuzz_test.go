package ctaphid

import (
	"bytes"
	"slices"
	"testing"
)

// Whatever the packets, a message stays within its announced size and the report size's limit, and a message that
// comes out is the one that its packets, cut again, would carry.
func FuzzMessage(f *testing.F) {
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
	f.Add(initAnswer(pattern(8), 5), pattern(8))
	f.Add([]byte{}, pattern(8))
	f.Fuzz(func(t *testing.T, data, nonce []byte) {
		if len(nonce) != nonceSize {
			return
		}
		r, ours, err := parseInitReply(data, nonce)
		if err == nil && ours && (r.cid == 0 || r.cid == BroadcastCID || !bytes.HasPrefix(data, nonce)) {
			t.Fatalf("accepted %x", data)
		}
	})
}
