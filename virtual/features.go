package virtual

import (
	"fmt"
	"slices"
)

// The options and extensions that a key may have or lack, as getInfo spells them.
const (
	optionRK                     = "rk"
	optionPINUVAuthToken         = "pinUvAuthToken"
	optionUVToken                = "uvToken"
	optionCredMgmt               = "credMgmt"
	optionCredMgmtPreview        = "credentialMgmtPreview"
	optionPerCredMgmtRO          = "perCredMgmtRO"
	optionBioEnroll              = "bioEnroll"
	optionBioEnrollPreview       = "userVerificationMgmtPreview"
	optionUVBioEnroll            = "uvBioEnroll"
	optionLargeBlobs             = "largeBlobs"
	optionConfig                 = "authnrCfg"
	optionUVConfig               = "uvAcfg"
	optionAlwaysUV               = "alwaysUv"
	optionEP                     = "ep"
	optionSetMinPINLength        = "setMinPINLength"
	extensionCredProtect         = "credProtect"
	extensionHMACSecret          = "hmac-secret"
	extensionHMACSecretMC        = "hmac-secret-mc"
	extensionCredBlob            = "credBlob"
	extensionLargeBlobKey        = "largeBlobKey"
	extensionLargeBlob           = "largeBlob"
	extensionMinPINLength        = "minPinLength"
	extensionPINComplexityPolicy = "pinComplexityPolicy"
	extensionThirdPartyPayment   = "thirdPartyPayment"
)

// feature is an option or an extension of some versions.
type feature struct {
	name      string
	since     Version
	preview   bool // gone in later versions, unless they have Config.Preview
	extension bool
	needs     []string           // other features; they stand before it in the list
	when      func(*Config) bool // nil means always
}

// hasU2F reports whether the key is made for U2F. It may not be with alwaysUv, since U2F cannot verify the user
// (section 7.2).
func (c *Config) hasU2F() bool { return !c.NoU2F && !c.AlwaysUV }

func (c *Config) hasReader() bool { return c.Finger != nil }

func (c *Config) hasBuiltInUV() bool { return c.Finger != nil || c.UserVerification != nil }

// hasUVTokenPreview is for option uvToken: a subcommand of clientPIN has its number and a permission more since 2.1.
func (c *Config) hasUVTokenPreview() bool { return c.hasBuiltInUV() && c.Version == CTAP21Pre }

func (c *Config) hasClientPIN() bool { return !c.NoClientPIN }

func (c *Config) isEnterprise() bool { return c.EnterpriseAttestation }

func (c *Config) hasTokens() bool { return c.hasClientPIN() || c.hasBuiltInUV() }

// hasNoLargeBlobKey is for extension largeBlob: a key has but one way to store large blobs, section 12.4.
func (c *Config) hasNoLargeBlobKey() bool {
	return slices.Contains(c.Without, optionLargeBlobs) || slices.Contains(c.Without, extensionLargeBlobKey)
}

// allFeatures are in the order in which getInfo lists the extensions.
var allFeatures = []feature{
	{name: optionRK, since: CTAP20},
	{name: optionUVToken, since: CTAP21Pre, preview: true, when: (*Config).hasUVTokenPreview},
	{name: optionCredMgmtPreview, since: CTAP21Pre, preview: true, needs: []string{optionRK}, when: (*Config).hasTokens},
	{name: optionBioEnrollPreview, since: CTAP21Pre, preview: true, when: (*Config).hasReader},
	{name: optionPINUVAuthToken, since: CTAP21, when: (*Config).hasTokens},
	{name: optionCredMgmt, since: CTAP21, needs: []string{optionRK, optionPINUVAuthToken}},
	{name: optionPerCredMgmtRO, since: CTAP22, needs: []string{optionCredMgmt}},
	{name: optionBioEnroll, since: CTAP21, needs: []string{optionPINUVAuthToken}, when: (*Config).hasReader},
	{name: optionUVBioEnroll, since: CTAP21, needs: []string{optionBioEnroll}},
	{name: optionLargeBlobs, since: CTAP21, needs: []string{optionRK}},
	{name: optionConfig, since: CTAP21},
	{name: optionEP, since: CTAP21, needs: []string{optionConfig}, when: (*Config).isEnterprise},
	{name: optionUVConfig, since: CTAP21, needs: []string{optionConfig}, when: (*Config).hasBuiltInUV},
	{name: optionAlwaysUV, since: CTAP21},
	{name: optionSetMinPINLength, since: CTAP21, needs: []string{optionConfig}, when: (*Config).hasClientPIN},

	{name: extensionCredProtect, since: CTAP21Pre, extension: true},
	{name: extensionHMACSecret, since: CTAP20, extension: true},
	{name: extensionHMACSecretMC, since: CTAP22, extension: true, needs: []string{extensionHMACSecret}},
	{name: extensionCredBlob, since: CTAP21, extension: true, needs: []string{optionRK}},
	{name: extensionLargeBlobKey, since: CTAP21, extension: true, needs: []string{optionLargeBlobs}},
	{name: extensionLargeBlob, since: CTAP23, extension: true, needs: []string{optionRK}, when: (*Config).hasNoLargeBlobKey},
	{name: extensionMinPINLength, since: CTAP21, extension: true, needs: []string{optionSetMinPINLength}},
	{name: extensionPINComplexityPolicy, since: CTAP22, extension: true, when: (*Config).hasClientPIN},
	{name: extensionThirdPartyPayment, since: CTAP22, extension: true},
}

// features returns the names of all that the key has.
func (c *Config) features() map[string]bool {
	has := make(map[string]bool)
	for _, f := range allFeatures {
		if f.isIn(c, has) {
			has[f.name] = true
		}
	}
	return has
}

func (f *feature) isIn(c *Config, has map[string]bool) bool {
	if c.Version < f.since || f.preview && c.Version > f.since && !c.Preview {
		return false
	}
	if slices.Contains(c.Without, f.name) || f.when != nil && !f.when(c) {
		return false
	}
	return !slices.ContainsFunc(f.needs, func(name string) bool { return !has[name] })
}

// checkFeatures refuses names that mean nothing.
func (c *Config) checkFeatures() error {
	for _, name := range c.Without {
		if !slices.ContainsFunc(allFeatures, func(f feature) bool { return f.name == name }) {
			return fmt.Errorf("a key can't be without %q: unknown option or extension", name)
		}
	}
	return nil
}

// has reports whether the key has an option or extension. It may be an option that is switched off.
func (a *Authenticator) has(name string) bool { return a.features[name] }

// extensions returns those of the key.
func (a *Authenticator) extensions() []string {
	var names []string
	for _, f := range allFeatures {
		if f.extension && a.has(f.name) {
			names = append(names, f.name)
		}
	}
	return names
}
