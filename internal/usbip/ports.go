package usbip

import (
	"strconv"
	"strings"
)

// maxDescriptor is the longest report descriptor that Linux reads (HID_MAX_DESCRIPTOR_SIZE).
const maxDescriptor = 4096

// freePorts returns the free USB 2 ports in the controller's status file, which has lines like these:
//
//	hub port sta spd dev      sockfd local_busid
//	hs  0000 004 000 00000000 000000 0-0
func freePorts(status string) []int {
	const free = "004" // VDEV_ST_NULL
	var ports []int
	for line := range strings.Lines(status) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[0] != "hs" || fields[2] != free {
			continue
		}
		if port, err := strconv.ParseUint(fields[1], 10, 8); err == nil {
			ports = append(ports, int(port))
		}
	}
	return ports
}
