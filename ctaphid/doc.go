// Package ctaphid exchanges messages with a FIDO device over HID reports (CTAP 2.3, section 11.2): channels, packets,
// keepalives, cancelling. It needs only the standard library, and a device that moves one report per call.
//
// Start with [Open], which asks the device for a channel:
//
//	dev, err := hid.Open("/dev/hidraw3")
//	ch, err := ctaphid.Open(ctx, dev)
//	defer ch.Close()
//	response, err := ch.CBOR(ctx, request, nil)
package ctaphid
