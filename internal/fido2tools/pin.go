package fido2tools

import (
	"bytes"

	"github.com/keyfob-go/keyfob/ctap2"
)

// setFirstPIN is -S alone.
func (d *device) setFirstPIN() error {
	pin, err := d.askNewPIN()
	if err != nil {
		return err
	}
	defer clear(pin)
	return d.failed("fido_dev_set_pin", d.withAgreement(func(s *ctap2.SharedSecret) error {
		return d.ctap2.SetPIN(d.ctx, s, pin)
	}))
}

// changePIN is -C.
func (t *tool) changePIN(o *tokenOptions) error {
	if len(o.operands) == 0 {
		return errUsage
	}
	return t.withDevice(o.device, (*device).replacePIN)
}

func (d *device) replacePIN() error {
	old, err := d.passphrase("Enter current PIN for "+d.path+": ", shortAnswer)
	if err != nil {
		return err
	}
	defer clear(old)
	if !isPIN(old) {
		return errPINLength
	}
	pin, err := d.askNewPIN()
	if err != nil {
		return err
	}
	defer clear(pin)
	return d.failed("fido_dev_set_pin", d.withAgreement(func(s *ctap2.SharedSecret) error {
		return d.ctap2.ChangePIN(d.ctx, s, old, pin)
	}))
}

// askNewPIN asks twice. What is wrong then is said without the name of the tool.
func (d *device) askNewPIN() ([]byte, error) {
	pin, err := d.passphrase("Enter new PIN for "+d.path+": ", shortAnswer)
	if err != nil {
		return nil, err
	}
	again, err := d.passphrase("Enter the same PIN again: ", shortAnswer)
	defer clear(again)
	switch {
	case err != nil:
		return nil, err
	case !bytes.Equal(pin, again):
		return nil, bareError("PINs do not match. Try again.")
	case !isPIN(pin):
		return nil, bareError("invalid PIN length")
	}
	return pin, nil
}

func (d *device) withAgreement(run func(*ctap2.SharedSecret) error) error {
	secret, err := d.agree()
	if err != nil {
		return err
	}
	defer secret.Clear()
	return run(secret)
}
