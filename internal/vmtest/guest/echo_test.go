package guest

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/internal/usbip"
)

const (
	reportSize = usbip.ReportSize

	broadcast   = 0xffffffff
	echoChannel = 0x01020304
	commandPing = 0x81 // CTAPHID_PING
	commandInit = 0x86 // CTAPHID_INIT
	maxMessage  = reportSize - 7 + 128*(reportSize-5)
)

// echo is the smallest key there is: it gives everybody the same channel, and sends back whatever else it is told,
// which is just what a PING wants, however many reports it has.
func echo(key io.ReadWriteCloser) {
	report := make([]byte, reportSize)
	for {
		if _, err := io.ReadFull(key, report); err != nil {
			return
		}
		if report[4] == commandInit {
			report[6] = 17
			binary.BigEndian.PutUint32(report[15:], echoChannel)
			copy(report[19:], []byte{2, 0, 0, 0, 0}) // protocol, version, capabilities
		}
		if _, err := key.Write(report); err != nil {
			return
		}
	}
}

// message splits data into reports. CTAP 2.2, section 11.2.4.
func message(channel uint32, command byte, data []byte) [][]byte {
	head := binary.BigEndian.AppendUint32(nil, channel)
	report := binary.BigEndian.AppendUint16(append(head[:4:4], command), uint16(len(data)))
	var reports [][]byte
	for sequence := byte(0); ; sequence++ {
		n := min(len(data), reportSize-len(report))
		report, data = append(report, data[:n]...), data[n:]
		reports = append(reports, append(report, make([]byte, reportSize-len(report))...))
		if len(data) == 0 {
			return reports
		}
		report = append(head[:4:4], sequence)
	}
}

// requirePing has a key echo n bytes.
func requirePing(t *testing.T, key *hid.Device, n int) {
	t.Helper()
	nonce := []byte("12345678")
	reply := exchange(t, key, message(broadcast, commandInit, nonce))
	require.Equal(t, nonce, reply[7:15])
	require.EqualValues(t, echoChannel, binary.BigEndian.Uint32(reply[15:]))

	ping := message(echoChannel, commandPing, bytes.Repeat([]byte("ping"), n)[:n])
	require.Equal(t, bytes.Join(ping, nil), exchange(t, key, ping))
}

// exchange writes reports and returns the same number of reports from the key, joined.
func exchange(t *testing.T, key *hid.Device, reports [][]byte) []byte {
	t.Helper()
	written := make(chan error, 1)
	go func() {
		for _, report := range reports {
			if _, err := key.Write(report); err != nil {
				written <- err
				return
			}
		}
		written <- nil
	}()
	replies := make([]byte, len(reports)*reportSize)
	for i := range reports {
		n, err := key.Read(replies[i*reportSize:])
		require.NoError(t, err)
		require.Equal(t, reportSize, n)
	}
	require.NoError(t, <-written)
	return replies
}
