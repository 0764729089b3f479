package ctaphid

import "fmt"

// Command is a CTAPHID command without the bit that marks an initialization packet (CTAP 2.3, section 11.2.9).
type Command byte

// The commands.
const (
	CommandPing      Command = 0x01
	CommandMsg       Command = 0x03 // a U2F message
	CommandLock      Command = 0x04
	CommandInit      Command = 0x06
	CommandWink      Command = 0x08
	CommandCBOR      Command = 0x10
	CommandCancel    Command = 0x11
	CommandKeepalive Command = 0x3b
	CommandError     Command = 0x3f
)

var commandNames = map[Command]string{
	CommandPing:      "PING",
	CommandMsg:       "MSG",
	CommandLock:      "LOCK",
	CommandInit:      "INIT",
	CommandWink:      "WINK",
	CommandCBOR:      "CBOR",
	CommandCancel:    "CANCEL",
	CommandKeepalive: "KEEPALIVE",
	CommandError:     "ERROR",
}

// String returns the command's name in the specification.
func (c Command) String() string {
	if name, ok := commandNames[c]; ok {
		return name
	}
	return fmt.Sprintf("command 0x%02x", byte(c))
}

// Statuses of a keepalive. A device may send others, which mean nothing to a client.
const (
	KeepaliveProcessing byte = 1 // STATUS_PROCESSING
	KeepaliveUPNeeded   byte = 2 // STATUS_UPNEEDED: the device waits for a touch now
)

// Capabilities tell what a device can do besides the commands that every device knows.
type Capabilities byte

// The capabilities.
const (
	CapabilityWink  Capabilities = 0x01
	CapabilityCBOR  Capabilities = 0x04
	CapabilityNoMsg Capabilities = 0x08 // NMSG: the device does not know MSG, so no U2F
)

// Has reports whether all of the wanted capabilities are there.
func (c Capabilities) Has(want Capabilities) bool { return c&want == want }

// BroadcastCID is the channel on which a client asks for one of its own.
const BroadcastCID uint32 = 0xffffffff

// Error is the code of a CTAPHID_ERROR: [errors.Is] finds it through any wrapping (section 11.2.9.1.6).
type Error byte

// The error codes.
const (
	ErrInvalidCommand   Error = 0x01 // ERR_INVALID_CMD
	ErrInvalidParameter Error = 0x02 // ERR_INVALID_PAR
	ErrInvalidLength    Error = 0x03 // ERR_INVALID_LEN
	ErrInvalidSeq       Error = 0x04 // ERR_INVALID_SEQ
	ErrMessageTimeout   Error = 0x05 // ERR_MSG_TIMEOUT
	ErrChannelBusy      Error = 0x06 // ERR_CHANNEL_BUSY
	ErrLockRequired     Error = 0x0a // ERR_LOCK_REQUIRED
	ErrInvalidChannel   Error = 0x0b // ERR_INVALID_CHANNEL
	ErrOther            Error = 0x7f // ERR_OTHER
)

var errorTexts = map[Error]string{
	ErrInvalidCommand:   "device does not know the command",
	ErrInvalidParameter: "device refused a parameter",
	ErrInvalidLength:    "device refused the message length",
	ErrInvalidSeq:       "device missed a packet",
	ErrMessageTimeout:   "device waited too long for a packet",
	ErrChannelBusy:      "device is busy with another channel",
	ErrLockRequired:     "device is locked to another channel",
	ErrInvalidChannel:   "device does not know the channel",
	ErrOther:            "device reported an unspecified error",
}

// Error describes the code in a few words; an unknown one is named by its number.
func (e Error) Error() string {
	if text, ok := errorTexts[e]; ok {
		return text
	}
	return fmt.Sprintf("device reported error 0x%02x", byte(e))
}
