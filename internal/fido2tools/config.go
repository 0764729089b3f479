package fido2tools

import (
	"errors"
	"strings"

	"github.com/keyfob-go/keyfob/ctap2"
)

// configure changes a setting: without a token first, unless the key can verify the user itself.
func (d *device) configure(function string, change func(*ctap2.AuthenticatorConfig) error) error {
	err := d.retryWithPIN(func(pin []byte) error {
		config := &ctap2.AuthenticatorConfig{Client: &d.ctap2}
		if pin != nil || d.option("pinUvAuthToken") && d.option("uv") {
			token, err := d.token(pin, ctap2.PermissionAuthenticatorConfig, "")
			if err != nil {
				return err
			}
			defer token.Clear()
			config.Token = token
		}
		return change(config)
	})
	return d.failedWithNumber(function, err)
}

func (d *device) enableEnterpriseAttestation() error {
	return d.configure("fido_dev_enable_entattest", func(c *ctap2.AuthenticatorConfig) error {
		return c.EnableEnterpriseAttestation(d.ctx)
	})
}

// setAlwaysUV switches the option, which the key can only toggle.
func (d *device) setAlwaysUV(value bool) error {
	if d.info == nil {
		d.warn("%v", d.failedWithNumber("fido_dev_get_cbor_info", codeRX))
		return errors.New("config_always_uv: getdevopt")
	}
	now, known := d.info.Option("alwaysUv")
	switch {
	case !known:
		return errors.New("config_always_uv: option not found")
	case now == value:
		return nil
	}
	return d.configure("fido_dev_toggle_always_uv", func(c *ctap2.AuthenticatorConfig) error {
		return c.ToggleAlwaysUV(d.ctx)
	})
}

func (d *device) setMinPINLength(argument string) error {
	length, err := base10(argument)
	if err != nil || length > 63 {
		return errors.New("config_pin_minlen: len > 63")
	}
	if length == 0 {
		return d.failedWithNumber("fido_dev_set_pin_minlen", codeInvalidArgument)
	}
	return d.setPINPolicy("fido_dev_set_pin_minlen", ctap2.SetMinPINLengthParams{NewMinPINLength: uint(length)})
}

func (d *device) forcePINChange() error {
	return d.setPINPolicy("fido_dev_force_pin_change", ctap2.SetMinPINLengthParams{ForceChangePIN: true})
}

func (d *device) setPINPolicy(function string, params ctap2.SetMinPINLengthParams) error {
	return d.configure(function, func(c *ctap2.AuthenticatorConfig) error { return c.SetMinPINLength(d.ctx, params) })
}

// setMinPINLengthRPIDs looks at the list before it opens the key.
func (t *tool) setMinPINLengthRPIDs(path, list string) error {
	rpIDs := strings.Split(list, ",")
	for _, rpID := range rpIDs {
		if rpID == "" {
			return errors.New("empty rpid")
		}
	}
	return t.withDevice(path, func(d *device) error {
		return d.setPINPolicy("fido_dev_set_pin_minlen_rpid", ctap2.SetMinPINLengthParams{RPIDs: rpIDs})
	})
}
