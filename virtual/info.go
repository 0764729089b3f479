package virtual

import (
	"context"
	"maps"
	"slices"

	"github.com/keyfob-go/keyfob/ctap2"
)

const (
	// transport is how platforms reach the key.
	transport = "usb"

	// uvFingerprint is the bit of a built-in fingerprint reader in uvModality.
	uvFingerprint = 0x02
)

// getInfo is authenticatorGetInfo, section 6.4. What a version does not know is not there.
func (a *Authenticator) getInfo(context.Context, *call, []byte) (any, error) {
	info := &ctap2.Info{
		Versions:           a.versions(),
		Extensions:         a.extensions(),
		AAGUID:             a.config.AAGUID,
		Options:            a.options(),
		MaxMsgSize:         uint64(a.config.MaxMessageSize),
		PINUVAuthProtocols: a.config.PINUVAuthProtocols,
	}
	if !a.config.hasTokens() && !a.has(extensionHMACSecret) {
		info.PINUVAuthProtocols = nil
	}
	for _, more := range []struct {
		since Version
		add   func(*ctap2.Info)
	}{
		{CTAP21Pre, a.addInfo21Pre}, {CTAP21, a.addInfo21}, {CTAP22, a.addInfo22}, {CTAP23, a.addInfo23},
	} {
		if a.config.Version >= more.since {
			more.add(info)
		}
	}
	return info, nil
}

func (a *Authenticator) addInfo21Pre(info *ctap2.Info) {
	info.MaxCredentialCountInList = uint64(a.config.MaxCredentialCountInList)
	info.MaxCredentialIDLength = uint64(a.config.MaxCredentialIDLength)
	info.Transports = []string{transport}
	info.Algorithms = a.algorithms()
}

func (a *Authenticator) addInfo21(info *ctap2.Info) {
	remaining := a.remaining()
	info.FirmwareVersion = a.config.FirmwareVersion
	info.Certifications = a.config.Certifications
	info.RemainingDiscoverableCredentials = &remaining
	if a.has(optionLargeBlobs) {
		info.MaxSerializedLargeBlobArray = uint64(a.config.LargeBlobSize)
	}
	if a.has(extensionCredBlob) {
		info.MaxCredBlobLength = maxCredBlobSize
	}
	if a.config.hasClientPIN() {
		info.ForcePINChange = a.state.ForcePINChange
		info.MinPINLength = uint64(a.minPINLength())
	}
	if a.has(extensionMinPINLength) {
		info.MaxRPIDsForSetMinPINLength = maxMinPINLengthRPIDs
	}
	if a.config.hasBuiltInUV() {
		info.PreferredPlatformUVAttempts = uvAttempts
		info.UVModality = uvFingerprint
	}
	if a.has(optionConfig) && len(a.config.VendorConfig) > 0 {
		info.VendorPrototypeConfigCommands = a.vendorCommands()
	}
}

func (a *Authenticator) addInfo22(info *ctap2.Info) {
	info.AttestationFormats = a.attestationFormats()
	info.LongTouchForReset = a.longTouchForReset()
	info.TransportsForReset = a.config.Reset.Transports
	if a.hasUV() && a.hasPIN() {
		count := a.state.UVCount
		info.UVCountSinceLastPINEntry = &count
	}
	if a.config.hasClientPIN() {
		complexity := a.hasPINComplexityPolicy()
		info.PINComplexityPolicy = &complexity
		info.PINComplexityPolicyURL = []byte(a.config.PIN.URL)
		info.MaxPINLength = uint64(a.config.PIN.MaxLength)
	}
	if a.has(optionPerCredMgmtRO) {
		info.EncIdentifier = a.hide("encIdentifier", a.state.identifier())
	}
}

func (a *Authenticator) addInfo23(info *ctap2.Info) {
	if a.has(optionPerCredMgmtRO) {
		info.EncCredStoreState = a.hide("encCredStoreState", a.state.credStoreState())
	}
	if a.has(optionConfig) {
		info.AuthenticatorConfigCommands = a.configCommands()
	}
}

func (a *Authenticator) versions() []string {
	if a.hasU2F() {
		return append([]string{u2fVersion}, a.config.versionStrings()...)
	}
	return a.config.versionStrings()
}

// options returns what is said of each option that there is something to say of.
func (a *Authenticator) options() map[string]bool {
	options := map[string]bool{"rk": a.has(optionRK), "up": true, "plat": false}
	for _, name := range []string{
		optionUVToken, optionCredMgmtPreview, optionCredMgmt, optionPerCredMgmtRO, optionUVBioEnroll, optionLargeBlobs,
		optionConfig, optionUVConfig, optionSetMinPINLength,
	} {
		if a.has(name) {
			options[name] = true
		}
	}
	states := map[string]bool{
		optionBioEnroll:        len(a.state.Fingerprints) > 0,
		optionBioEnrollPreview: len(a.state.Fingerprints) > 0,
		optionAlwaysUV:         a.alwaysUV(),
		optionEP:               a.state.Settings.EnterpriseAttestation,
	}
	for name, state := range states {
		if a.has(name) {
			options[name] = state
		}
	}
	a.addUVOptions(options)
	return options
}

func (a *Authenticator) addUVOptions(options map[string]bool) {
	if a.config.hasClientPIN() {
		options["clientPin"] = a.hasPIN()
	}
	if a.config.hasBuiltInUV() {
		options["uv"] = a.hasUV()
	}
	if a.config.Version >= CTAP21 {
		options[optionPINUVAuthToken] = a.has(optionPINUVAuthToken)
		options["makeCredUvNotRqd"] = !a.makeCredUVRequired()
	}
	if a.config.NoMCGAWithPIN {
		options["noMcGaPermissionsWithClientPin"] = true
	}
}

func (a *Authenticator) algorithms() []ctap2.CredentialParameter {
	var list []ctap2.CredentialParameter
	for _, alg := range a.config.Algorithms {
		list = append(list, ctap2.CredentialParameter{Algorithm: alg, Type: ctap2.PublicKeyType})
	}
	return list
}

// vendorCommands returns the numbers in Config.VendorConfig, in order.
func (a *Authenticator) vendorCommands() []uint64 {
	return slices.Sorted(maps.Keys(a.config.VendorConfig))
}
