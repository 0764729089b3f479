package virtual

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
)

const (
	defaultCapacity        = 100
	defaultListLength      = 8
	defaultIDLength        = 128
	minIDLength            = 98 // a sealed ES512 key
	defaultTouchTimeout    = 30 * time.Second
	defaultMessageSize     = 1827 // bytes in 31 packets, which fit through uhid in one go: see ServeUHID
	minMessageSize         = 1024
	maxMessageSize         = 7609 // what CTAPHID can carry
	minPINLength           = 4
	maxPINLength           = 63
	defaultFirmwareVersion = 1
	maxPINRetries          = 8
	defaultUVRetries       = 3
	maxUVRetries           = 25 // section 6.5.1
	maxPINFailuresInARow   = 3
	defaultEnrollSamples   = 5
	defaultMaxFingerprints = 5
)

var defaultAAGUID = ctap2.AAGUID{
	0x6b, 0x65, 0x79, 0x66, 0x6f, 0x62, 0x4d, 0x0e, 0x8a, 0x3d, 0x56, 0x69, 0x72, 0x74, 0x75, 0x61,
}

// withDefaults returns a copy of c that shares nothing with the caller's.
func (c Config) withDefaults() Config {
	c.Version = orDefault(c.Version, CTAP21)
	c.AAGUID = orDefault(c.AAGUID, defaultAAGUID)
	if c.Algorithms == nil {
		c.Algorithms = []cose.Algorithm{cose.ES256, cose.EdDSA, cose.ES384, cose.ES512, cose.RS256}
	}
	if c.PINUVAuthProtocols == nil {
		c.PINUVAuthProtocols = c.Version.protocols()
	}
	c.Without = slices.Clone(c.Without)
	c.PIN.Initial = slices.Clone(c.PIN.Initial)
	c.Algorithms = slices.Clone(c.Algorithms)
	c.PINUVAuthProtocols = slices.Clone(c.PINUVAuthProtocols)
	c.Reset.Transports = slices.Clone(c.Reset.Transports)
	c.EnterpriseRPIDs = slices.Clone(c.EnterpriseRPIDs)
	c.Certifications = maps.Clone(c.Certifications)
	c.VendorConfig = maps.Clone(c.VendorConfig)
	c.setLimits()
	return c
}

func (c *Config) setLimits() {
	c.Capacity = orDefault(c.Capacity, defaultCapacity)
	c.MaxCredentialCountInList = orDefault(c.MaxCredentialCountInList, c.Version.listLength())
	c.MaxCredentialIDLength = orDefault(c.MaxCredentialIDLength, defaultIDLength)
	c.LargeBlobSize = orDefault(c.LargeBlobSize, defaultLargeBlobSize)
	c.MaxMessageSize = orDefault(c.MaxMessageSize, defaultMessageSize)
	c.FirmwareVersion = orDefault(c.FirmwareVersion, defaultFirmwareVersion)
	c.TouchTimeout = orDefault(c.TouchTimeout, defaultTouchTimeout)
	c.PIN.MinLength = orDefault(c.PIN.MinLength, minPINLength)
	c.PIN.MaxLength = orDefault(c.PIN.MaxLength, maxPINLength)
	c.PIN.Retries = orDefault(c.PIN.Retries, maxPINRetries)
	c.UVRetries = orDefault(c.UVRetries, defaultUVRetries)
	c.EnrollSamples = orDefault(c.EnrollSamples, defaultEnrollSamples)
	c.MaxFingerprints = orDefault(c.MaxFingerprints, defaultMaxFingerprints)
}

func orDefault[T comparable](v, byDefault T) T {
	var zero T
	if v == zero {
		return byDefault
	}
	return v
}

// check refuses what no key can be.
func (c *Config) check() error {
	return cmp.Or(c.checkVersion(), c.checkParts(), c.checkFeatures(), c.checkAlgorithms(), c.checkLimits())
}

func (c *Config) checkVersion() error {
	if c.Version < CTAP20 || c.Version > CTAP23 {
		return fmt.Errorf("unknown version %v", c.Version)
	}
	if c.Version < CTAP21 && (c.AlwaysUV || c.NoMCGAWithPIN || c.EnterpriseAttestation || c.Preview) {
		return fmt.Errorf("CTAP %v has no AlwaysUV, NoMCGAWithPIN, EnterpriseAttestation or Preview", c.Version)
	}
	return nil
}

// checkParts refuses what does not go together.
func (c *Config) checkParts() error {
	initial := len(c.PIN.Initial)
	switch {
	case c.U2FOnly && !c.hasU2F():
		return errors.New("a key with U2F only has neither NoU2F nor AlwaysUV")
	case c.Finger != nil && c.UserVerification != nil:
		return errors.New("a key has either Finger or UserVerification")
	case c.AlwaysUV && slices.Contains(c.Without, optionAlwaysUV):
		return errors.New("a key is either with AlwaysUV or without")
	case c.NoMCGAWithPIN && !c.hasBuiltInUV():
		return errors.New("a key with NoMCGAWithPIN needs built-in user verification")
	case initial > 0 && (initial < minPINLength || initial > maxPINLength || c.NoClientPIN):
		return fmt.Errorf("a key can't be sold with a PIN of %d bytes", initial)
	}
	return nil
}

func (c *Config) checkAlgorithms() error {
	for _, alg := range c.Algorithms {
		if !canSign(alg) {
			return fmt.Errorf("algorithm %v is not supported", alg)
		}
	}
	for _, p := range c.PINUVAuthProtocols {
		if p != ctap2.PINProtocol1 && p != ctap2.PINProtocol2 {
			return fmt.Errorf("PIN/UV auth protocol %d is not supported", p)
		}
	}
	if len(c.Algorithms) == 0 || len(c.PINUVAuthProtocols) == 0 {
		return errors.New("a key needs an algorithm and a PIN/UV auth protocol")
	}
	return nil
}

func (c *Config) checkLimits() error {
	for _, limit := range []struct {
		name               string
		value, least, most int
	}{
		{"Capacity", c.Capacity, 1, math.MaxInt32},
		{"MaxCredentialCountInList", c.MaxCredentialCountInList, 1, math.MaxInt32},
		{"MaxCredentialIDLength", c.MaxCredentialIDLength, minIDLength, math.MaxInt32},
		{"DefaultCredProtect", int(c.DefaultCredProtect), 0, ctap2.CredProtectUVRequired},
		{"LeastCredProtect", int(c.LeastCredProtect), 0, ctap2.CredProtectUVRequired},
		{"LargeBlobSize", c.LargeBlobSize, minLargeBlobSize, math.MaxInt32},
		{"MaxMessageSize", c.MaxMessageSize, minMessageSize, maxMessageSize},
		{"PIN.MinLength", c.PIN.MinLength, minPINLength, maxPINLength},
		{"PIN.MaxLength", c.PIN.MaxLength, c.PIN.MinLength, maxPINLength},
		{"PIN.Retries", c.PIN.Retries, 1, maxPINRetries},
		{"UVRetries", c.UVRetries, 1, maxUVRetries},
		{"EnrollSamples", c.EnrollSamples, 1, math.MaxInt32},
		{"MaxFingerprints", c.MaxFingerprints, 1, math.MaxInt32},
	} {
		if limit.value < limit.least || limit.value > limit.most {
			return fmt.Errorf("%s is %d, must be %d to %d", limit.name, limit.value, limit.least, limit.most)
		}
	}
	if c.TouchTimeout < 0 || c.Reset.Window < 0 {
		return errors.New("negative duration")
	}
	return nil
}
