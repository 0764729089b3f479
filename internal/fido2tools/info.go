package fido2tools

import (
	"fmt"
	"math/bits"
	"os"
	"strings"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// describe is -I.
func (t *tool) describe(o *tokenOptions) error {
	if len(o.operands) == 0 || o.cred && (o.id != nil || o.key != nil || o.ppuat != nil) {
		return errUsage
	}
	return t.withDevice(o.device, func(d *device) error {
		switch {
		case o.cred:
			return d.showCounts()
		case o.id != nil && o.key != nil:
			return d.showCredential(*o.key, *o.id)
		case o.id != nil || o.key != nil:
			return errUsage
		}
		return d.showInfo(o)
	})
}

func (d *device) showInfo(o *tokenOptions) error {
	token, err := readPersistentToken(o)
	if err != nil {
		return err
	}
	d.showAttributes()
	if d.info == nil {
		return nil
	}
	info, err := d.rawInfo()
	if err != nil {
		return d.failedWithNumber("fido_dev_get_cbor_info", err)
	}
	d.showIdentity(info)
	if err := d.showIdentifiers(info, token); err != nil {
		return err
	}
	d.showLimits(info)
	d.showVerification(info)
	d.showSensor()
	return nil
}

// info is what a key says about itself, without defaults for what it does not say.
type info struct {
	ctap2.Info
	options, certifications []namedValue
}

// namedValue is an entry of a map, which the tools show in the order in which the key has them.
type namedValue struct {
	name  string
	value ctapcbor.RawMessage
}

func (d *device) rawInfo() (*info, error) {
	response, err := d.channel.CBOR(d.ctx, []byte{byte(ctap2.CommandGetInfo)}, nil)
	switch {
	case err != nil:
		return nil, err
	case len(response) == 0:
		return nil, codeRX
	case response[0] != 0:
		return nil, ctap2.Status(response[0])
	}
	var maps struct {
		Options        ctapcbor.RawMessage `cbor:"4,keyasint,omitempty"`
		Certifications ctapcbor.RawMessage `cbor:"19,keyasint,omitempty"`
	}
	i := new(info)
	if ctapcbor.Unmarshal(response[1:], &i.Info) != nil || ctapcbor.Unmarshal(response[1:], &maps) != nil {
		return nil, codeRXInvalidCBOR
	}
	i.options, i.certifications = pairs(maps.Options), pairs(maps.Certifications)
	return i, nil
}

// pairs returns the entries of a map that has been found to be one, of text to something.
func pairs(encoded []byte) (all []namedValue) {
	_, n, rest, err := ctapcbor.Head(encoded)
	for ; err == nil && n > 0; n-- {
		var p namedValue
		if rest, err = ctapcbor.UnmarshalFirst(rest, &p.name); err == nil {
			if rest, err = ctapcbor.UnmarshalFirst(rest, &p.value); err == nil {
				all = append(all, p)
			}
		}
	}
	return all
}

func (d *device) showAttributes() {
	a := d.channel.DeviceInfo()
	capabilities := a.Capabilities
	if d.info == nil {
		capabilities &^= ctaphid.CapabilityCBOR // it does not hold what it promises
	}
	fmt.Fprintf(d.out, "proto: 0x%02x\nmajor: 0x%02x\nminor: 0x%02x\nbuild: 0x%02x\n",
		a.ProtocolVersion, a.DeviceVersion[0], a.DeviceVersion[1], a.DeviceVersion[2])
	fmt.Fprintf(d.out, "caps: 0x%02x (%swink, %scbor, %smsg)\n", byte(capabilities),
		no(!capabilities.Has(ctaphid.CapabilityWink)), no(!capabilities.Has(ctaphid.CapabilityCBOR)),
		no(capabilities.Has(ctaphid.CapabilityNoMsg)))
}

// no is what stands in front of what is not so.
func no(really bool) string {
	if really {
		return "no"
	}
	return ""
}

// showIdentity shows which kind of key it is.
func (d *device) showIdentity(i *info) {
	d.showStrings("version", i.Versions)
	d.showStrings("extension", i.Extensions)
	d.showStrings("transport", i.Transports)
	var algorithms []string
	for _, a := range i.Algorithms {
		algorithms = append(algorithms, fmt.Sprintf("%s (%s)", typeName(a.Algorithm), a.Type))
	}
	d.showList("algorithms", algorithms)
	fmt.Fprintf(d.out, "aaguid: %x\n", i.AAGUID[:])
}

func (d *device) showStrings(label string, values []string) { d.showList(label+" strings", values) }

// showList shows a list that is not empty.
func (d *device) showList(label string, values []string) {
	if len(values) > 0 {
		fmt.Fprintf(d.out, "%s: %s\n", label, strings.Join(values, ", "))
	}
}

// showIdentifiers shows what tells the key from others and its state from former ones, decrypted if there is a token.
func (d *device) showIdentifiers(i *info, token *ctap2.Token) error {
	switch {
	case d.Old:
		return nil
	case token == nil:
		d.showHex("encid", i.EncIdentifier)
		d.showHex("encstate", i.EncCredStoreState)
		return nil
	}
	for _, value := range []struct {
		label   string
		sealed  []byte
		decrypt func(*ctap2.Token) ([16]byte, error)
	}{
		{"id", i.EncIdentifier, i.Identifier},
		{"state", i.EncCredStoreState, i.CredStoreState},
	} {
		if len(value.sealed) == 0 {
			continue
		}
		plain, err := value.decrypt(token)
		if err != nil {
			return d.failedWithNumber("fido_cbor_info_decrypt", codeInternal)
		}
		d.showHex(value.label, plain[:])
	}
	return nil
}

func (d *device) showHex(label string, b []byte) {
	if len(b) > 0 {
		fmt.Fprintf(d.out, "%s: %x\n", label, b)
	}
}

// showLimits shows options, certifications and numbers. The numbers are as wide as C's int.
func (d *device) showLimits(i *info) {
	d.showList("options", optionTexts(i.options))
	d.showList("certifications", certificationTexts(i.certifications))
	if !d.Old {
		d.showStrings("attestation formats", i.AttestationFormats)
	}
	fmt.Fprintf(d.out, "fwversion: 0x%x\n", uint32(i.FirmwareVersion))
	fmt.Fprintf(d.out, "maxmsgsiz: %d\n", int32(i.MaxMsgSize))
	fmt.Fprintf(d.out, "maxcredcntlst: %d\n", int32(i.MaxCredentialCountInList))
	fmt.Fprintf(d.out, "maxcredlen: %d\n", int32(i.MaxCredentialIDLength))
	if !d.Old {
		fmt.Fprintf(d.out, "maxcredblob: %d\n", int32(i.MaxCredBlobLength))
	}
	fmt.Fprintf(d.out, "maxlargeblob: %d\n", int32(i.MaxSerializedLargeBlobArray))
	d.showPositive("maxrpids in minpinlen", i.MaxRPIDsForSetMinPINLength)
	if i.RemainingDiscoverableCredentials != nil {
		fmt.Fprintf(d.out, "remaining rk(s): %d\n", int32(*i.RemainingDiscoverableCredentials))
	}
	d.showPositive("minpinlen", i.MinPINLength)
	if !d.Old {
		d.showPositive("maxpinlen", i.MaxPINLength)
	}
}

func (d *device) showPositive(label string, n uint64) {
	if n > 0 {
		fmt.Fprintf(d.out, "%s: %d\n", label, int32(n))
	}
}

func optionTexts(options []namedValue) (texts []string) {
	for _, o := range options {
		var value bool
		if ctapcbor.Unmarshal(o.value, &value) == nil {
			texts = append(texts, no(!value)+o.name)
		}
	}
	return texts
}

func certificationTexts(certifications []namedValue) (texts []string) {
	for _, c := range certifications {
		var level uint64
		if ctapcbor.Unmarshal(c.value, &level) == nil {
			texts = append(texts, fmt.Sprintf("%s %d", c.name, level))
		}
	}
	return texts
}

// showVerification shows how the key verifies its user. It asks the key how often that may still fail.
func (d *device) showVerification(i *info) {
	var protocols []string
	for _, p := range i.PINUVAuthProtocols {
		protocols = append(protocols, fmt.Sprint(uint64(p)))
	}
	d.showList("pin protocols", protocols)
	retries, _, err := d.ctap2.PINRetries(d.ctx, ctap2.PINProtocol1)
	d.showRetries("pin", retries, err)
	fmt.Fprintf(d.out, "pin change required: %t\n", i.ForcePINChange)
	if !d.Old {
		d.showPINPolicy(i)
	}
	retries, err = d.ctap2.UVRetries(d.ctx, ctap2.PINProtocol1)
	d.showRetries("uv", retries, err)
	d.showPositive("platform uv attempt(s)", i.PreferredPlatformUVAttempts)
	if i.UVModality != 0 {
		fmt.Fprintf(d.out, "uv modality: 0x%x (%s)\n", uint32(i.UVModality), modalityText(i.UVModality))
	}
	if !d.Old {
		d.showNews(i)
	}
}

func (d *device) showRetries(of string, n int, err error) {
	if err != nil {
		fmt.Fprintf(d.out, "%s retries: undefined\n", of)
		return
	}
	fmt.Fprintf(d.out, "%s retries: %d\n", of, n)
}

func (d *device) showPINPolicy(i *info) {
	if i.PINComplexityPolicy != nil {
		fmt.Fprintf(d.out, "pin complexity policy: %t\n", *i.PINComplexityPolicy)
	}
	if len(i.PINComplexityPolicyURL) > 0 {
		fmt.Fprintf(d.out, "pin complexity policy url: %s\n", i.PINComplexityPolicyURL)
	}
}

// showNews shows what the old version does not know.
func (d *device) showNews(i *info) {
	if i.UVCountSinceLastPINEntry != nil {
		fmt.Fprintf(d.out, "uv count since last pin: %d\n", int32(*i.UVCountSinceLastPINEntry))
	}
	fmt.Fprintf(d.out, "long touch for reset: %t\n", i.LongTouchForReset)
	d.showStrings("transports for reset", i.TransportsForReset)
	var commands []string
	for _, c := range i.AuthenticatorConfigCommands {
		commands = append(commands, fmt.Sprint(byte(c)))
	}
	d.showList("config commands", commands)
}

// modalityText names the bits of FIDO's registry of predefined values.
func modalityText(modality uint64) string {
	names := map[int]string{
		0: "test of user presence", 1: "fingerprint check", 2: "pin check", 3: "voice recognition",
		4: "face recognition", 5: "location check", 6: "eyeprint check", 7: "drawn pattern check",
		8: "handprint verification", 9: "none", 10: "all required", 11: "external pin",
		12: "external drawn pattern check",
	}
	var texts []string
	for ; modality != 0; modality &= modality - 1 {
		bit := bits.TrailingZeros64(modality)
		name, ok := names[bit]
		if !ok {
			name = fmt.Sprintf("unknown 0x%x", uint64(1)<<bit)
		}
		texts = append(texts, name)
	}
	return strings.Join(texts, ", ")
}

// showSensor shows the fingerprint sensor of a key that has one.
func (d *device) showSensor() {
	bio := &ctap2.BioEnrollment{Client: &d.ctap2, Preview: d.previewOf("bioEnroll")}
	sensor, err := bio.SensorInfo(d.ctx)
	if err != nil {
		return
	}
	kind := map[uint64]string{ctap2.SensorTouch: "touch", ctap2.SensorSwipe: "swipe"}[sensor.Kind]
	if kind == "" {
		kind = "unknown"
	}
	fmt.Fprintf(d.out, "sensor type: %d (%s)\nmax samples: %d\n", byte(sensor.Kind), kind, byte(sensor.MaxCaptureSamples))
}

// getPersistentToken is -G -t: a token that may only read.
func (d *device) getPersistentToken(path string) error {
	pin, err := d.passphrase("Enter PIN for "+d.path+": ", shortAnswer)
	if err != nil {
		return err
	}
	defer clear(pin)
	token, err := d.token(pin, ctap2.PermissionPersistentReadOnly, "")
	if err != nil {
		return d.failed("fido_dev_get_puat", err)
	}
	defer token.Clear()
	secret := token.Secret()
	defer clear(secret)
	return writeFile(path, secret)
}

// readPersistentToken reads what -G -t wrote; nil if the command line has no such file.
func readPersistentToken(o *tokenOptions) (*ctap2.Token, error) {
	if o.ppuat == nil {
		return nil, nil
	}
	secret, err := os.ReadFile(*o.ppuat)
	if err != nil {
		return nil, fmt.Errorf("read_file: open %s: %s", *o.ppuat, strerror(err))
	}
	defer clear(secret)
	// Keys from before CTAP 2.3, the only ones with another protocol than the second, have no such tokens.
	token, err := ctap2.NewToken(ctap2.PINProtocol2, secret)
	if err != nil {
		return nil, fmt.Errorf("%s: not a token", *o.ppuat)
	}
	return token, nil
}
