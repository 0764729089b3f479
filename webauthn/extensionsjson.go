package webauthn

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/strictjson"
)

// Names of the levels of CTAP 2.2, section 12.1.
var protectionPolicies = []string{
	ctap2.CredProtectUVOptional:       "userVerificationOptional",
	ctap2.CredProtectUVOptionalWithID: "userVerificationOptionalWithCredentialIDList",
	ctap2.CredProtectUVRequired:       "userVerificationRequired",
}

func readExtensions(options *jsonObject) Extensions {
	o, _ := options.object("extensions")
	e := Extensions{
		AppIDExclude:                      o.text("appidExclude"),
		CredProps:                         o.flag("credProps"),
		HMACCreateSecret:                  o.flag("hmacCreateSecret"),
		MinPINLength:                      o.flag("minPinLength"),
		CredBlob:                          o.bytes("credBlob"),
		CredentialProtectionPolicy:        readProtectionPolicy(o),
		EnforceCredentialProtectionPolicy: o.flag("enforceCredentialProtectionPolicy"),
		AppID:                             o.text("appid"),
		HMACGetSecret:                     readHMACSalts(o),
		GetCredBlob:                       o.flag("getCredBlob"),
		PRF:                               readPRFInputs(o),
		LargeBlob:                         readLargeBlobInputs(o),
	}
	if _, ok := o.object("payment"); ok {
		e.Payment = o.members["payment"]
	}
	return e
}

// readProtectionPolicy ignores a policy that is not known, as values of enumerations are, unless that must not be.
func readProtectionPolicy(o *jsonObject) uint {
	const name = "credentialProtectionPolicy"
	policy := o.text(name)
	if level := slices.Index(protectionPolicies, policy); level > 0 {
		return uint(level)
	}
	if policy != "" && o.flag("enforceCredentialProtectionPolicy") {
		o.fail(name, fmt.Errorf("%.40q: %w", policy, errors.ErrUnsupported))
	}
	return 0
}

func readHMACSalts(extensions *jsonObject) *HMACSalts {
	o, ok := extensions.object("hmacGetSecret")
	if !ok {
		return nil
	}
	o.require("salt1")
	return &HMACSalts{Salt1: o.bytes("salt1"), Salt2: o.bytes("salt2")}
}

func readPRFInputs(extensions *jsonObject) *PRFInputs {
	o, ok := extensions.object("prf")
	if !ok {
		return nil
	}
	return &PRFInputs{Eval: readPRFValues(o, "eval"), EvalByCredential: readEvalByCredential(o)}
}

func readEvalByCredential(prf *jsonObject) map[string]PRFValues {
	const name = "evalByCredential"
	o, ok := prf.object(name)
	if !ok {
		return nil
	}
	if len(o.members) > maxItems {
		prf.fail(name, fmt.Errorf("%d members, want %d at most", len(o.members), maxItems))
		return nil
	}
	values := make(map[string]PRFValues, len(o.members))
	for _, encoded := range slices.Sorted(maps.Keys(o.members)) {
		id, err := strictjson.Base64(encoded)
		if _, repeats := values[string(id)]; repeats {
			err = errors.New("repeats in another encoding")
		}
		if err != nil {
			o.fail(encoded, err)
			return nil
		}
		if v := readPRFValues(o, encoded); v != nil {
			values[string(id)] = *v
		}
	}
	return values
}

func readPRFValues(parent *jsonObject, name string) *PRFValues {
	o, ok := parent.object(name)
	if !ok {
		return nil
	}
	o.require("first")
	return &PRFValues{First: o.bytes("first"), Second: o.bytes("second")}
}

func readLargeBlobInputs(extensions *jsonObject) *LargeBlobInputs {
	o, ok := extensions.object("largeBlob")
	if !ok {
		return nil
	}
	return &LargeBlobInputs{
		Support: oneOf(o, "support", Required, Preferred),
		Read:    o.flag("read"),
		Write:   o.bytes("write"),
	}
}

type extensionsJSON struct {
	AppIDExclude     string    `json:"appidExclude,omitempty"`
	CredProps        bool      `json:"credProps,omitempty"`
	HMACCreateSecret bool      `json:"hmacCreateSecret,omitempty"`
	MinPINLength     bool      `json:"minPinLength,omitempty"`
	CredBlob         base64url `json:"credBlob,omitzero"`

	CredentialProtectionPolicy        string `json:"credentialProtectionPolicy,omitempty"`
	EnforceCredentialProtectionPolicy bool   `json:"enforceCredentialProtectionPolicy,omitempty"`

	AppID         string         `json:"appid,omitempty"`
	HMACGetSecret *hmacSaltsJSON `json:"hmacGetSecret,omitempty"`
	GetCredBlob   bool           `json:"getCredBlob,omitempty"`

	PRF       *prfInputsJSON       `json:"prf,omitempty"`
	LargeBlob *largeBlobInputsJSON `json:"largeBlob,omitempty"`
	Payment   json.RawMessage      `json:"payment,omitempty"`
}

type hmacSaltsJSON struct {
	Salt1 base64url `json:"salt1"`
	Salt2 base64url `json:"salt2,omitzero"`
}

type prfInputsJSON struct {
	Eval             *prfValuesJSON           `json:"eval,omitempty"`
	EvalByCredential map[string]prfValuesJSON `json:"evalByCredential,omitzero"`
}

type prfValuesJSON struct {
	First  base64url `json:"first"`
	Second base64url `json:"second,omitzero"`
}

type largeBlobInputsJSON struct {
	Support Requirement `json:"support,omitempty"`
	Read    bool        `json:"read,omitempty"`
	Write   base64url   `json:"write,omitzero"`
}

// json wants valid extensions.
func (e *Extensions) json() extensionsJSON {
	return extensionsJSON{
		AppIDExclude:                      e.AppIDExclude,
		CredProps:                         e.CredProps,
		HMACCreateSecret:                  e.HMACCreateSecret,
		MinPINLength:                      e.MinPINLength,
		CredBlob:                          e.CredBlob,
		CredentialProtectionPolicy:        protectionPolicies[e.CredentialProtectionPolicy],
		EnforceCredentialProtectionPolicy: e.EnforceCredentialProtectionPolicy,
		AppID:                             e.AppID,
		HMACGetSecret:                     e.HMACGetSecret.json(),
		GetCredBlob:                       e.GetCredBlob,
		PRF:                               e.PRF.json(),
		LargeBlob:                         e.LargeBlob.json(),
		Payment:                           e.Payment,
	}
}

func (s *HMACSalts) json() *hmacSaltsJSON {
	if s == nil {
		return nil
	}
	return &hmacSaltsJSON{s.Salt1, s.Salt2}
}

func (p *PRFInputs) json() *prfInputsJSON {
	if p == nil {
		return nil
	}
	inputs := &prfInputsJSON{Eval: p.Eval.json()}
	if p.EvalByCredential != nil {
		inputs.EvalByCredential = make(map[string]prfValuesJSON, len(p.EvalByCredential))
	}
	for id, v := range p.EvalByCredential {
		inputs.EvalByCredential[base64.RawURLEncoding.EncodeToString([]byte(id))] = *v.json()
	}
	return inputs
}

func (v *PRFValues) json() *prfValuesJSON {
	if v == nil {
		return nil
	}
	return &prfValuesJSON{v.First, v.Second}
}

func (l *LargeBlobInputs) json() *largeBlobInputsJSON {
	if l == nil {
		return nil
	}
	return &largeBlobInputsJSON{l.Support, l.Read, l.Write}
}
