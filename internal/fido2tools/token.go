package fido2tools

import (
	"fmt"
)

// tokenOptions is the command line of fido2-token.
type tokenOptions struct {
	action byte // 0: none; unknownOption or 'P': one that there is not

	enterprise, blob, cred, enroll, force, rps, uv bool // -a -b -c -e -f -r -u

	id, key, length, rpIDs, name, display, ppuat *string // -i -k -l -m -n -p -t; nil if not given

	operands []string
	device   string // the last operand; empty if there is none
}

const (
	tokenLetters    = "CDGILPRSVabcdefi:k:l:m:n:p:rt:u"
	oldTokenLetters = "CDGILPRSVabcdefi:k:l:m:n:p:ru"
)

// versions as -V shows them.
const (
	version    = "1.17.0"
	oldVersion = "1.12.0"
)

// token is fido2-token.
func (t *tool) token(args []string) error {
	o, err := t.parseToken(args)
	if err != nil {
		return err
	}
	switch o.action {
	case 'C':
		return t.changePIN(o)
	case 'D':
		return t.deleteFrom(o)
	case 'G':
		return t.getFrom(o)
	case 'I':
		return t.describe(o)
	case 'L':
		return t.list(o)
	case 'R':
		return t.reset(o)
	case 'S':
		return t.set(o)
	case 'V':
		return t.showVersion()
	}
	return errUsage
}

func (t *tool) parseToken(args []string) (*tokenOptions, error) {
	g := getopt{name: t.name, options: tokenLetters, stderr: t.Stderr}
	if t.Old {
		g.options = oldTokenLetters
	}
	o := &tokenOptions{}
	operands, err := g.parse(args, o.set)
	if err != nil {
		return nil, err
	}
	if len(operands) > 0 {
		o.operands, o.device = operands, operands[len(operands)-1]
	}
	return o, nil
}

// set takes note of an option. Every letter that is nothing else is an action, of which there can be one.
func (o *tokenOptions) set(letter byte, argument string) error {
	flags := map[byte]*bool{
		'a': &o.enterprise, 'b': &o.blob, 'c': &o.cred, 'e': &o.enroll, 'f': &o.force, 'r': &o.rps, 'u': &o.uv,
		'd': new(bool), // for what libfido2 says, which there is none of
	}
	values := map[byte]**string{
		'i': &o.id, 'k': &o.key, 'l': &o.length, 'm': &o.rpIDs, 'n': &o.name, 'p': &o.display, 't': &o.ppuat,
	}
	if flag, ok := flags[letter]; ok {
		*flag = true
		return nil
	}
	if value, ok := values[letter]; ok {
		*value = &argument
		return nil
	}
	if o.action != 0 {
		return errUsage
	}
	o.action = letter
	return nil
}

func (t *tool) showVersion() error {
	number := version
	if t.Old {
		number = oldVersion
	}
	fmt.Fprintln(t.Stderr, number)
	return nil
}

// list is -L: of keys, or of what is on one.
func (t *tool) list(o *tokenOptions) error {
	run := (func(*device) error)(nil)
	switch {
	case o.blob:
		run = (*device).listBlobs
	case o.enroll:
		run = (*device).listFingerprints
	case o.key != nil:
		run = func(d *device) error { return d.listCredentials(*o.key) }
	case o.rps:
		run = (*device).listRPs
	default:
		return t.listDevices()
	}
	if len(o.operands) == 0 {
		return errUsage
	}
	return t.withDevice(o.device, run)
}

const maxDevices = 64

func (t *tool) listDevices() error {
	keys, err := t.List()
	if err != nil {
		return t.failedWithNumber("fido_dev_info_manifest", codeInternal)
	}
	for i, key := range keys {
		if i == maxDevices {
			break
		}
		fmt.Fprintf(t.out, "%s: vendor=0x%04x, product=0x%04x (%s %s)\n",
			key.Path, key.VendorID, key.ProductID, key.Manufacturer, key.Product)
	}
	return nil
}

// reset is -R. It asks nobody.
func (t *tool) reset(o *tokenOptions) error {
	if len(o.operands) == 0 {
		return errUsage
	}
	return t.withDevice(o.device, func(d *device) error {
		return d.failed("fido_dev_reset", d.ctap2.Reset(d.ctx))
	})
}

// getFrom is -G.
func (t *tool) getFrom(o *tokenOptions) error {
	switch {
	case o.blob && o.ppuat != nil, o.blob && len(o.operands) != 2, !o.blob && (o.ppuat == nil || len(o.operands) != 1):
		return errUsage
	case o.blob:
		return t.withDevice(o.device, func(d *device) error { return d.getBlob(o, o.operands[0]) })
	}
	return t.withDevice(o.device, func(d *device) error { return d.getPersistentToken(*o.ppuat) })
}

// deleteFrom is -D.
func (t *tool) deleteFrom(o *tokenOptions) error {
	run := (func(*device) error)(nil)
	switch {
	case len(o.operands) == 0, o.id != nil && o.uv && !o.blob:
		return errUsage
	case o.blob:
		run = func(d *device) error { return d.deleteBlob(o) }
	case o.id != nil && o.enroll:
		return t.removeFingerprint(o.device, *o.id)
	case o.id != nil:
		run = func(d *device) error { return d.deleteCredential(*o.id) }
	case o.uv:
		run = func(d *device) error { return d.setAlwaysUV(false) }
	default:
		return errUsage
	}
	return t.withDevice(o.device, run)
}

// set is -S, which does what its first flag in this order means.
func (t *tool) set(o *tokenOptions) error {
	run := (func(*device) error)(nil)
	switch {
	case len(o.operands) == 0:
		return errUsage
	case o.blob && len(o.operands) != 2:
		return errUsage
	case o.blob:
		run = func(d *device) error { return d.setBlob(o, o.operands[0]) }
	case o.cred && (o.id == nil || o.key == nil || o.name == nil && o.display == nil):
		return errUsage
	case o.cred:
		run = func(d *device) error { return d.updateUser(o) }
	case o.enroll:
		return t.setFingerprint(o)
	case o.enterprise && o.uv:
		return errUsage
	case o.enterprise:
		run = (*device).enableEnterpriseAttestation
	case o.length != nil:
		run = func(d *device) error { return d.setMinPINLength(*o.length) }
	case o.rpIDs != nil:
		return t.setMinPINLengthRPIDs(o.device, *o.rpIDs)
	case o.force:
		run = (*device).forcePINChange
	case o.uv:
		run = func(d *device) error { return d.setAlwaysUV(true) }
	default:
		run = (*device).setFirstPIN
	}
	return t.withDevice(o.device, run)
}
