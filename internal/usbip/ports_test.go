package usbip

import (
	"testing"

	"github.com/stretchr/testify/require"
)

const statusFile = `hub port sta spd dev      sockfd local_busid
hs  0000 006 002 00010002 000003 1-1
hs  0001 004 000 00000000 000000 0-0
hs  0002 005 000 00000000 000000 0-0
hs  0007 004 000 00000000 000000 0-0
ss  0008 004 000 00000000 000000 0-0
`

func TestFreePorts(t *testing.T) {
	t.Parallel()
	require.Equal(t, []int{1, 7}, freePorts(statusFile))
	require.Empty(t, freePorts(""))
	require.Empty(t, freePorts("hs\nhs 1\nhs x 004\nhs -1 004\nhs 256 004\n"))
}

func FuzzFreePorts(f *testing.F) {
	f.Add(statusFile)
	f.Add("hs 0001 004")
	f.Fuzz(func(t *testing.T, status string) {
		for _, port := range freePorts(status) {
			require.True(t, port >= 0 && port < 256)
		}
	})
}
