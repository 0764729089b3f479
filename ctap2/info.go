package ctap2

import (
	"context"
	"fmt"
	"slices"
)

// Info is what an authenticator says about itself (authenticatorGetInfo, section 6.4). After [Client.GetInfo] the
// members that have a default hold it where the authenticator left them out; a zero number, nil slice or nil pointer
// otherwise means absent. Numbers are what the authenticator says and may be as large as
// they like.
type Info struct {
	Versions                         []string              `cbor:"1,keyasint"`
	Extensions                       []string              `cbor:"2,keyasint,omitempty"`
	AAGUID                           AAGUID                `cbor:"3,keyasint"`
	Options                          map[string]bool       `cbor:"4,keyasint,omitempty"` // see [Info.Option]
	MaxMsgSize                       uint64                `cbor:"5,keyasint,omitempty"` // bytes; 1024 by default and at least
	PINUVAuthProtocols               []PINProtocol         `cbor:"6,keyasint,omitempty"` // the authenticator's favourite first
	MaxCredentialCountInList         uint64                `cbor:"7,keyasint,omitempty"`
	MaxCredentialIDLength            uint64                `cbor:"8,keyasint,omitempty"` // bytes
	Transports                       []string              `cbor:"9,keyasint,omitempty"`
	Algorithms                       []CredentialParameter `cbor:"10,keyasint,omitempty"`
	MaxSerializedLargeBlobArray      uint64                `cbor:"11,keyasint,omitempty"` // bytes
	ForcePINChange                   bool                  `cbor:"12,keyasint,omitempty"`
	MinPINLength                     uint64                `cbor:"13,keyasint,omitempty"` // Unicode code points; 4 by default
	FirmwareVersion                  uint64                `cbor:"14,keyasint,omitempty"`
	MaxCredBlobLength                uint64                `cbor:"15,keyasint,omitempty"` // bytes
	MaxRPIDsForSetMinPINLength       uint64                `cbor:"16,keyasint,omitempty"`
	PreferredPlatformUVAttempts      uint64                `cbor:"17,keyasint,omitempty"`
	UVModality                       uint64                `cbor:"18,keyasint,omitempty"` // bits of the FIDO registry
	Certifications                   map[string]uint64     `cbor:"19,keyasint,omitempty"`
	RemainingDiscoverableCredentials *uint64               `cbor:"20,keyasint,omitempty"`
	VendorPrototypeConfigCommands    []uint64              `cbor:"21,keyasint,omitzero"`  // empty is not absent
	AttestationFormats               []string              `cbor:"22,keyasint,omitempty"` // "packed" by default
	UVCountSinceLastPINEntry         *uint64               `cbor:"23,keyasint,omitempty"`
	LongTouchForReset                bool                  `cbor:"24,keyasint,omitempty"`
	EncIdentifier                    []byte                `cbor:"25,keyasint,omitempty"` // 32 bytes
	TransportsForReset               []string              `cbor:"26,keyasint,omitempty"`
	PINComplexityPolicy              *bool                 `cbor:"27,keyasint,omitempty"`
	PINComplexityPolicyURL           []byte                `cbor:"28,keyasint,omitempty"` // UTF-8
	MaxPINLength                     uint64                `cbor:"29,keyasint,omitempty"` // Unicode code points; 63 by default
	EncCredStoreState                []byte                `cbor:"30,keyasint,omitempty"` // 32 bytes
	AuthenticatorConfigCommands      []uint64              `cbor:"31,keyasint,omitzero"`  // empty is not absent
}

const (
	defaultMaxMsgSize   = 1024
	defaultMinPINLength = 4
	defaultMaxPINLength = 63
)

// GetInfo asks the authenticator what it is and what it can do.
func (c *Client) GetInfo(ctx context.Context) (*Info, error) {
	info := new(Info)
	if err := c.call(ctx, CommandGetInfo, nil, info); err != nil {
		return nil, err
	}
	if len(info.Versions) == 0 {
		return nil, missing(CommandGetInfo, "versions")
	}
	info.setDefaults()
	return info, nil
}

// setDefaults fills in what the specification says of absent members, and corrects values that no authenticator can
// mean: the message size is 1024 at least, a PIN has 4 to 63 characters.
func (i *Info) setDefaults() {
	i.MaxMsgSize = max(i.MaxMsgSize, defaultMaxMsgSize)
	i.MinPINLength = min(max(i.MinPINLength, defaultMinPINLength), defaultMaxPINLength)
	if i.MaxPINLength == 0 {
		i.MaxPINLength = defaultMaxPINLength
	}
	i.MaxPINLength = min(max(i.MaxPINLength, i.MinPINLength), defaultMaxPINLength)
	if len(i.AttestationFormats) == 0 {
		i.AttestationFormats = []string{"packed"}
	}
}

// Option returns an option's value and whether the authenticator lists it at all. For some options absent, false and
// true are three different things: clientPin absent is not supported, false is not set, true is set. The options "up",
// by default true, and "plat" and "rk", by default false, are never absent (section 6.4).
func (i *Info) Option(name string) (value, present bool) {
	if value, present = i.Options[name]; present {
		return value, true
	}
	switch name {
	case "up":
		return true, true
	case "plat", "rk":
		return false, true
	}
	return false, false
}

// HasVersion reports whether the authenticator speaks the version: "U2F_V2", "FIDO_2_0", "FIDO_2_1_PRE", "FIDO_2_1",
// "FIDO_2_3".
func (i *Info) HasVersion(version string) bool { return slices.Contains(i.Versions, version) }

// AtLeastCTAP21 reports whether the authenticator speaks CTAP 2.1 or later. The preview "FIDO_2_1_PRE" is not enough.
func (i *Info) AtLeastCTAP21() bool {
	return slices.ContainsFunc(i.Versions, func(v string) bool {
		return v == "FIDO_2_1" || v == "FIDO_2_2" || v == "FIDO_2_3"
	})
}

// HasExtension reports whether the authenticator supports the extension: "hmac-secret", "credProtect", ...
func (i *Info) HasExtension(id string) bool { return slices.Contains(i.Extensions, id) }

// PINProtocol returns the authenticator's favourite among the PIN/UV auth protocols that this package knows. An
// authenticator that lists none but can have a PIN speaks protocol 1 (CTAP 2.0 keys may leave the list out).
func (i *Info) PINProtocol() (PINProtocol, error) {
	for _, p := range i.PINUVAuthProtocols {
		if p == PINProtocol1 || p == PINProtocol2 {
			return p, nil
		}
	}
	if len(i.PINUVAuthProtocols) == 0 {
		return PINProtocol1, nil
	}
	return 0, fmt.Errorf("ctap2: none of the PIN/UV auth protocols %v is known", i.PINUVAuthProtocols)
}
