package webauthn

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
)

// UnmarshalJSON decodes what a server made for navigator.credentials.create: the options, or an object that has them as
// its member publicKey. Member names count case and must not repeat. Null is taken for absent, and unknown members are
// ignored, as are credential types, extensions, and values of enumerations that are not known here. Lists may have 256
// items. What else must be right is said at Validate. After an error, which names the member, nothing is changed.
//
// Binary members may be base64url or plain base64, with or without padding.
func (o *CreationOptions) UnmarshalJSON(b []byte) error {
	root := readOptions(b)
	parsed := readCreationOptions(root)
	if err := validated(root, parsed.check); err != nil {
		return fmt.Errorf("webauthn: creation options: %w", err)
	}
	*o = *parsed
	return nil
}

// UnmarshalJSON decodes what a server made for navigator.credentials.get, by the rules that CreationOptions have.
func (o *RequestOptions) UnmarshalJSON(b []byte) error {
	root := readOptions(b)
	parsed := readRequestOptions(root)
	if err := validated(root, parsed.check); err != nil {
		return fmt.Errorf("webauthn: request options: %w", err)
	}
	*o = *parsed
	return nil
}

// readOptions returns the object that has the options.
func readOptions(b []byte) *jsonObject {
	root := readObject(b)
	if options, ok := root.object("publicKey"); ok {
		return options
	}
	return root
}

// validated returns the first error of reading an object, or else of checking it.
func validated(o *jsonObject, check func() error) error {
	if *o.err != nil {
		return *o.err
	}
	err := check()
	if err != nil && o.path != "" {
		return fmt.Errorf("%s.%w", o.path, err)
	}
	return err
}

func readCreationOptions(o *jsonObject) *CreationOptions {
	o.require("rp", "user", "challenge")
	rp, _ := o.object("rp")
	user, _ := o.object("user")
	user.require("id")
	return &CreationOptions{
		RP:                     ctap2.RelyingParty{ID: rp.text("id"), Name: rp.text("name")},
		User:                   ctap2.User{ID: user.bytes("id"), Name: user.text("name"), DisplayName: user.text("displayName")},
		Challenge:              o.bytes("challenge"),
		PubKeyCredParams:       o.algorithms("pubKeyCredParams"),
		Timeout:                o.milliseconds("timeout"),
		ExcludeCredentials:     o.descriptors("excludeCredentials"),
		AuthenticatorSelection: readSelection(o),
		Hints:                  o.texts("hints"),
		Attestation:            oneOf(o, "attestation", ConveyNone, ConveyIndirect, ConveyDirect, ConveyEnterprise),
		AttestationFormats:     o.texts("attestationFormats"),
		Extensions:             readExtensions(o),
	}
}

func readRequestOptions(o *jsonObject) *RequestOptions {
	o.require("challenge")
	r := &RequestOptions{
		Challenge:        o.bytes("challenge"),
		Timeout:          o.milliseconds("timeout"),
		RPID:             o.text("rpId"),
		AllowCredentials: o.descriptors("allowCredentials"),
		UserVerification: oneOf(o, "userVerification", Required, Preferred, Discouraged),
		Hints:            o.texts("hints"),
		Extensions:       readExtensions(o),
	}
	if len(r.AllowCredentials) == 0 && len(o.list("allowCredentials")) > 0 { // an empty list would allow any
		o.fail("allowCredentials", fmt.Errorf("all of an unknown type: %w", errors.ErrUnsupported))
	}
	return r
}

func readSelection(o *jsonObject) AuthenticatorSelection {
	selection, _ := o.object("authenticatorSelection")
	s := AuthenticatorSelection{
		Attachment:       oneOf(selection, "authenticatorAttachment", Platform, CrossPlatform),
		ResidentKey:      oneOf(selection, "residentKey", Required, Preferred, Discouraged),
		UserVerification: oneOf(selection, "userVerification", Required, Preferred, Discouraged),
	}
	if selection.flag("requireResidentKey") && s.ResidentKey == "" { // Level 1, which had nothing else
		s.ResidentKey = Required
	}
	return s
}

// oneOf returns an empty string for values that are not known: WebAuthn Level 3, section 2.1.1.
func oneOf[T ~string](o *jsonObject, name string, known ...T) T {
	s := o.text(name)
	for _, value := range known {
		if s == string(value) {
			return value
		}
	}
	return ""
}

func (o *jsonObject) milliseconds(name string) time.Duration {
	const most = float64(maxTimeout / time.Millisecond)
	return time.Duration(max(0, min(o.number(name), most))) * time.Millisecond
}

func (o *jsonObject) algorithms(name string) (algorithms []cose.Algorithm) {
	params := o.objects(name)
	for _, param := range params {
		param.require("type", "alg")
		alg := param.number("alg")
		if alg != float64(int32(alg)) { // a long of Web IDL
			param.fail("alg", errors.New("not an integer of 32 bits"))
		}
		if param.text("type") == ctap2.PublicKeyType {
			algorithms = append(algorithms, cose.Algorithm(alg))
		}
	}
	if len(algorithms) == 0 && len(params) > 0 { // no parameters at all would stand for the usual ones
		o.fail(name, fmt.Errorf("all of an unknown type: %w", errors.ErrUnsupported))
	}
	return algorithms
}

func (o *jsonObject) descriptors(name string) (credentials []ctap2.CredentialDescriptor) {
	for _, credential := range o.objects(name) {
		credential.require("type", "id")
		d := ctap2.CredentialDescriptor{
			ID:         credential.bytes("id"),
			Type:       credential.text("type"),
			Transports: credential.texts("transports"),
		}
		if d.Type == ctap2.PublicKeyType {
			credentials = append(credentials, d)
		}
	}
	return credentials
}

// MarshalJSON encodes the options without an object around them, for a server to send. It wants them valid.
func (o CreationOptions) MarshalJSON() ([]byte, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return json.Marshal(creationOptionsJSON{
		RP:                     rpJSON{o.RP.ID, o.RP.Name},
		User:                   userJSON{o.User.ID, o.User.Name, o.User.DisplayName},
		Challenge:              o.Challenge,
		PubKeyCredParams:       paramsJSON(o.PubKeyCredParams),
		Timeout:                max(0, o.Timeout.Milliseconds()),
		ExcludeCredentials:     descriptorsJSON(o.ExcludeCredentials),
		AuthenticatorSelection: o.AuthenticatorSelection.json(),
		Hints:                  o.Hints,
		Attestation:            o.Attestation,
		AttestationFormats:     o.AttestationFormats,
		Extensions:             o.Extensions.json(),
	})
}

// MarshalJSON encodes the options without an object around them, for a server to send. It wants them valid.
func (o RequestOptions) MarshalJSON() ([]byte, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return json.Marshal(requestOptionsJSON{
		Challenge:        o.Challenge,
		Timeout:          max(0, o.Timeout.Milliseconds()),
		RPID:             o.RPID,
		AllowCredentials: descriptorsJSON(o.AllowCredentials),
		UserVerification: o.UserVerification,
		Hints:            o.Hints,
		Extensions:       o.Extensions.json(),
	})
}

type creationOptionsJSON struct {
	RP                     rpJSON           `json:"rp"`
	User                   userJSON         `json:"user"`
	Challenge              base64url        `json:"challenge"`
	PubKeyCredParams       []paramJSON      `json:"pubKeyCredParams"`
	Timeout                int64            `json:"timeout,omitempty"`
	ExcludeCredentials     []descriptorJSON `json:"excludeCredentials,omitempty"`
	AuthenticatorSelection selectionJSON    `json:"authenticatorSelection,omitzero"`
	Hints                  []string         `json:"hints,omitempty"`
	Attestation            Conveyance       `json:"attestation,omitempty"`
	AttestationFormats     []string         `json:"attestationFormats,omitempty"`
	Extensions             extensionsJSON   `json:"extensions,omitzero"`
}

type requestOptionsJSON struct {
	Challenge        base64url        `json:"challenge"`
	Timeout          int64            `json:"timeout,omitempty"`
	RPID             string           `json:"rpId,omitempty"`
	AllowCredentials []descriptorJSON `json:"allowCredentials,omitempty"`
	UserVerification Requirement      `json:"userVerification,omitempty"`
	Hints            []string         `json:"hints,omitempty"`
	Extensions       extensionsJSON   `json:"extensions,omitzero"`
}

type rpJSON struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name"`
}

type userJSON struct {
	ID          base64url `json:"id"`
	Name        string    `json:"name"`
	DisplayName string    `json:"displayName"`
}

type paramJSON struct {
	Type string         `json:"type"`
	Alg  cose.Algorithm `json:"alg"`
}

type descriptorJSON struct {
	Type       string    `json:"type"`
	ID         base64url `json:"id"`
	Transports []string  `json:"transports,omitempty"`
}

type selectionJSON struct {
	Attachment         Attachment  `json:"authenticatorAttachment,omitempty"`
	ResidentKey        Requirement `json:"residentKey,omitempty"`
	RequireResidentKey bool        `json:"requireResidentKey,omitempty"` // for clients of Level 1
	UserVerification   Requirement `json:"userVerification,omitempty"`
}

func (s AuthenticatorSelection) json() selectionJSON {
	return selectionJSON{s.Attachment, s.ResidentKey, s.ResidentKey == Required, s.UserVerification}
}

func paramsJSON(algorithms []cose.Algorithm) []paramJSON {
	params := make([]paramJSON, 0, len(algorithms))
	for _, alg := range algorithms {
		params = append(params, paramJSON{ctap2.PublicKeyType, alg})
	}
	return params
}

func descriptorsJSON(credentials []ctap2.CredentialDescriptor) (descriptors []descriptorJSON) {
	for _, c := range credentials {
		descriptors = append(descriptors, descriptorJSON{ctap2.PublicKeyType, c.ID, c.Transports})
	}
	return descriptors
}
