package fido2tools

import (
	"fmt"

	"github.com/keyfob-go/keyfob/ctap1"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
)

// device is an open key.
type device struct {
	*tool
	path    string
	channel *ctaphid.Channel
	ctap2   ctap2.Client
	ctap1   ctap1.Client
	info    *ctap2.Info // nil for a key that speaks U2F only, or shall
}

// open opens a key, and asks it what it can do if it speaks CTAP2. One that fails to say it is taken for a U2F key.
func (t *tool) open(path string) (*device, error) {
	stream, err := t.Open(path)
	if err != nil {
		return nil, t.openFailed(path, codeInternal)
	}
	channel, err := ctaphid.Open(t.ctx, stream)
	if err != nil {
		return nil, t.openFailed(path, err)
	}
	d := &device{
		tool: t, path: path, channel: channel,
		ctap2: ctap2.Client{Transport: channel}, ctap1: ctap1.Client{Transport: channel},
	}
	if !channel.DeviceInfo().Capabilities.Has(ctaphid.CapabilityCBOR) {
		return d, nil
	}
	if info, err := d.ctap2.GetInfo(t.ctx); err == nil {
		d.info = info
	}
	return d, nil
}

func (t *tool) openFailed(path string, err error) error { return t.failed("fido_dev_open "+path, err) }

func (d *device) close() { d.channel.Close() }

// withDevice runs what needs one open key.
func (t *tool) withDevice(path string, run func(*device) error) error {
	d, err := t.open(path)
	if err != nil {
		return err
	}
	defer d.close()
	return run(d)
}

// forceU2F has the key be one that speaks U2F only.
func (d *device) forceU2F() { d.info = nil }

// option reports whether the key has an option, and has it on.
func (d *device) option(name string) bool {
	if d.info == nil {
		return false
	}
	value, _ := d.info.Option(name)
	return value
}

// agree makes a key agreement by the PIN protocol that the key likes best.
func (d *device) agree() (*ctap2.SharedSecret, error) {
	if d.info == nil {
		return nil, codeInternal
	}
	protocol, err := d.info.PINProtocol()
	if err != nil {
		return nil, code(ctap2.ErrInvalidParameter) // of getKeyAgreement for protocol 0, which libfido2 sends then
	}
	return d.ctap2.KeyAgreement(d.ctx, protocol)
}

// token gets a token with the PIN, or without one where it is nil: then the key has to verify the user itself.
func (d *device) token(pin []byte, permission ctap2.Permission, rpID string) (*ctap2.Token, error) {
	secret, err := d.agree()
	if err != nil {
		return nil, err
	}
	defer secret.Clear()
	return d.tokenFor(secret, pin, permission, rpID)
}

func (d *device) tokenFor(
	secret *ctap2.SharedSecret, pin []byte, permission ctap2.Permission, rpID string,
) (*ctap2.Token, error) {
	permissions := d.option("pinUvAuthToken")
	switch {
	case pin != nil && permissions:
		return d.ctap2.PINTokenWithPermissions(d.ctx, secret, pin, permission, rpID)
	case pin != nil:
		return d.ctap2.PINToken(d.ctx, secret, pin)
	case permissions && d.option("uv"):
		return d.ctap2.UVToken(d.ctx, secret, permission, rpID)
	}
	return nil, ctap2.ErrPUATRequired
}

// retryWithPIN runs what may work without a PIN, and once more with it if the key wants one and has one.
func (d *device) retryWithPIN(run func(pin []byte) error) error {
	err := run(nil)
	if !d.wantsPIN(err) {
		return err
	}
	pin, askErr := d.askPIN(d.path)
	if askErr != nil {
		return askErr
	}
	defer clear(pin)
	return run(pin)
}

func (d *device) wantsPIN(err error) bool {
	if !d.option("clientPin") {
		return false
	}
	switch codeOf(err) {
	case code(ctap2.ErrPUATRequired), code(ctap2.ErrUnauthorizedPermission), code(ctap2.ErrUVBlocked),
		code(ctap2.ErrUVInvalid):
		return err != nil
	}
	return false
}

// dump shows bytes for -d.
func (t *tool) dump(name string, b []byte) {
	fmt.Fprintf(t.Stderr, "%s:\n  ", name)
	for i, x := range b {
		fmt.Fprintf(t.Stderr, "%02x ", x)
		if i%16 == 15 && i+1 < len(b) {
			fmt.Fprint(t.Stderr, "\n  ")
		}
	}
	fmt.Fprintln(t.Stderr)
}
