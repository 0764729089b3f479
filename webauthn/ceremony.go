package webauthn

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// Ceremony is what a relying party expects of a registration and of an authentication alike.
type Ceremony struct {
	Challenge []byte // as sent; empty is refused, so that a session that was lost is no session for everybody
	RPID      string // as in "example.org"

	// Origins are those that may ask, each exactly as a client writes it: "https://example.org", with the port if it
	// is not the usual one, or "android:apk-key-hash:...".
	Origins []string

	// AllowCrossOrigin accepts requests of a frame within a page of another origin. If the client says which page, it
	// must be one of TopOrigins.
	AllowCrossOrigin bool
	TopOrigins       []string

	// RequireUserVerification is for requests with userVerification "required": without it a touch is enough.
	RequireUserVerification bool

	// Extensions are the extensions that were asked for. Unless it is nil, an output of any other is refused; but
	// clients and authenticators may add some on their own, such as credProtect.
	Extensions []string

	// CheckExtensions, unless nil, judges the outputs. All are optional: clients and authenticators ignore what they do
	// not know. It must not keep them.
	CheckExtensions func(ExtensionOutputs) error
}

// ExtensionOutputs are what client and authenticator answer for extensions.
type ExtensionOutputs struct {
	Client        *ExtensionResults              // what the client says, signed by nobody
	Authenticator map[string]ctapcbor.RawMessage // what the authenticator says by name, in its signed data
}

// CredentialRecord is what a relying party stores of a credential (WebAuthn Level 3, section 4, "credential record").
type CredentialRecord struct {
	ID             []byte
	PublicKey      *cose.Key // Key.MarshalCBOR and [cose.ParseKey] store and load it
	SignCount      uint32
	UVInitialized  bool // the authenticator has recognized the user once
	Transports     []string
	BackupEligible bool
	BackupState    bool // it is backed up
}

// checkClientData takes the steps that concern the client data.
func (c *Ceremony) checkClientData(clientDataJSON []byte, typ string) (*ClientData, error) {
	d, err := parseClientData(clientDataJSON)
	if err != nil {
		return nil, StepClientData.failed(err)
	}
	if d.Type != typ {
		return nil, StepType.failedf("%q, want %q", d.Type, typ)
	}
	if len(c.Challenge) == 0 || !bytes.Equal(d.Challenge, c.Challenge) {
		return nil, StepChallenge.failed(errors.New("not the one that was sent"))
	}
	if !slices.Contains(c.Origins, d.Origin) {
		return nil, StepOrigin.failedf("%q is not expected", d.Origin)
	}
	if err := c.checkFrame(d); err != nil {
		return nil, err
	}
	return d, nil
}

func (c *Ceremony) checkFrame(d *ClientData) error {
	switch {
	case d.CrossOrigin && !c.AllowCrossOrigin:
		return StepCrossOrigin.failed(errors.New("asked for in a frame of another origin than the page's"))
	case d.TopOrigin == "":
		return nil // many clients do not say
	case !d.CrossOrigin:
		return StepTopOrigin.failedf("%q around a frame of the same origin", d.TopOrigin)
	case !slices.Contains(c.TopOrigins, d.TopOrigin):
		return StepTopOrigin.failedf("%q is not expected", d.TopOrigin)
	}
	return nil
}

// checkAuthenticatorData takes the steps that concern the authenticator data of both ceremonies, but for user presence.
func (c *Ceremony) checkAuthenticatorData(d *AuthenticatorData, rpID string) error {
	if rpID == "" || d.RPIDHash != sha256.Sum256([]byte(rpID)) {
		return StepRPIDHash.failedf("%x is not that of %q", d.RPIDHash, rpID)
	}
	if c.RequireUserVerification && !d.Flags.Has(ctap2.FlagUV) {
		return StepUserVerification.failedf("flags %v", d.Flags)
	}
	if d.Flags.Has(ctap2.FlagBS) && !d.Flags.Has(ctap2.FlagBE) {
		return StepBackup.failedf("flags %v: backed up but not eligible for it", d.Flags)
	}
	return nil
}

func checkUserPresence(d *AuthenticatorData) error {
	if !d.Flags.Has(ctap2.FlagUP) {
		return StepUserPresence.failedf("flags %v", d.Flags)
	}
	return nil
}

// checkExtensions takes the last step of both ceremonies.
func (c *Ceremony) checkExtensions(client *ExtensionResults, d *AuthenticatorData) error {
	outputs := ExtensionOutputs{Client: client}
	if d.Extensions != nil {
		if err := ctapcbor.Unmarshal(d.Extensions, &outputs.Authenticator); err != nil {
			return StepExtensions.failed(err)
		}
	}
	if c.Extensions != nil {
		if err := outputs.checkNames(c.Extensions); err != nil {
			return StepExtensions.failed(err)
		}
	}
	if c.CheckExtensions == nil {
		return nil
	}
	if err := c.CheckExtensions(outputs); err != nil {
		return StepExtensions.failed(err)
	}
	return nil
}

func (o *ExtensionOutputs) checkNames(wanted []string) error {
	names, err := o.Client.names()
	if err != nil {
		return err
	}
	for _, name := range slices.Concat(names, slices.Sorted(maps.Keys(o.Authenticator))) {
		if !slices.Contains(wanted, name) {
			return fmt.Errorf("%q was not asked for", name)
		}
	}
	return nil
}

// inCeremony says which ceremony failed.
func inCeremony(name string, err error) error { return fmt.Errorf("webauthn: %s: %w", name, err) }
