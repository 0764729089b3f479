package webauthn

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/keyfob-go/keyfob/internal/strictjson"
)

// UnmarshalJSON decodes results, by the rules that [CreationOptions.UnmarshalJSON] has for names, null and bytes.
func (r *ExtensionResults) UnmarshalJSON(b []byte) error {
	o := readObject(b)
	parsed := readResults(o)
	if *o.err != nil {
		return fmt.Errorf("webauthn: extension results: %w", *o.err)
	}
	*r = parsed
	return nil
}

// resultReaders are those of the members that are not in Other.
var resultReaders = map[string]func(o *jsonObject, name string, r *ExtensionResults){
	"appid":            func(o *jsonObject, name string, r *ExtensionResults) { r.AppID = o.answer(name) },
	"appidExclude":     func(o *jsonObject, name string, r *ExtensionResults) { r.AppIDExclude = o.answer(name) },
	"credProps":        func(o *jsonObject, name string, r *ExtensionResults) { r.CredProps = readCredProps(o, name) },
	"hmacCreateSecret": func(o *jsonObject, name string, r *ExtensionResults) { r.HMACCreateSecret = o.answer(name) },
	"hmacGetSecret":    func(o *jsonObject, name string, r *ExtensionResults) { r.HMACGetSecret = readHMACSecrets(o, name) },
	"credBlob":         func(o *jsonObject, name string, r *ExtensionResults) { r.CredBlob = o.answer(name) },
	"getCredBlob":      func(o *jsonObject, name string, r *ExtensionResults) { r.GetCredBlob = o.bytes(name) },
	"prf":              func(o *jsonObject, name string, r *ExtensionResults) { r.PRF = readPRFResults(o, name) },
	"largeBlob":        func(o *jsonObject, name string, r *ExtensionResults) { r.LargeBlob = readLargeBlobResults(o, name) },
}

func readResults(o *jsonObject) (r ExtensionResults) {
	for name, raw := range o.members {
		if string(raw) == "null" || readResult(o.members, name, &r) {
			continue
		}
		if r.Other == nil {
			r.Other = make(map[string]json.RawMessage)
		}
		r.Other[name] = slices.Clone(raw)
	}
	return r
}

// readResult returns false, having changed nothing, if the output is not known or not as it must be.
func readResult(members map[string]json.RawMessage, name string, r *ExtensionResults) bool {
	read, ok := resultReaders[name]
	if !ok {
		return false
	}
	attempt, o := *r, &jsonObject{members: members, err: new(error)}
	read(o, name, &attempt)
	if *o.err != nil {
		return false
	}
	*r = attempt
	return true
}

func readCredProps(results *jsonObject, name string) *CredentialProperties {
	o, _ := results.object(name)
	return &CredentialProperties{ResidentKey: o.answer("rk")}
}

func readHMACSecrets(results *jsonObject, name string) *HMACSecrets {
	o, _ := results.object(name)
	o.require("output1")
	return &HMACSecrets{Output1: o.bytes("output1"), Output2: o.bytes("output2")}
}

func readPRFResults(results *jsonObject, name string) *PRFResults {
	o, _ := results.object(name)
	return &PRFResults{Enabled: o.answer("enabled"), Results: readPRFValues(o, "results")}
}

func readLargeBlobResults(results *jsonObject, name string) *LargeBlobResults {
	o, _ := results.object(name)
	return &LargeBlobResults{Supported: o.answer("supported"), Blob: o.bytes("blob"), Written: o.answer("written")}
}

// MarshalJSON encodes the results, with bytes as base64url.
func (r ExtensionResults) MarshalJSON() ([]byte, error) {
	members, err := r.members()
	if err != nil {
		return nil, fmt.Errorf("webauthn: extension results: %w", err)
	}
	return json.Marshal(members)
}

// names returns the names of all outputs, sorted.
func (r *ExtensionResults) names() ([]string, error) {
	members, err := r.members()
	return slices.Sorted(maps.Keys(members)), err
}

func (r *ExtensionResults) members() (map[string]json.RawMessage, error) {
	encoded, err := json.Marshal(r.json())
	if err != nil {
		return nil, err
	}
	members, err := strictjson.Object(encoded)
	if err != nil {
		return nil, err
	}
	for name, raw := range r.Other {
		if members[name] == nil {
			members[name] = raw
		}
	}
	return members, nil
}

type extensionResultsJSON struct {
	AppID            *bool                 `json:"appid,omitempty"`
	AppIDExclude     *bool                 `json:"appidExclude,omitempty"`
	CredProps        *credPropsJSON        `json:"credProps,omitempty"`
	HMACCreateSecret *bool                 `json:"hmacCreateSecret,omitempty"`
	HMACGetSecret    *hmacSecretsJSON      `json:"hmacGetSecret,omitempty"`
	CredBlob         *bool                 `json:"credBlob,omitempty"`
	GetCredBlob      base64url             `json:"getCredBlob,omitzero"`
	PRF              *prfResultsJSON       `json:"prf,omitempty"`
	LargeBlob        *largeBlobResultsJSON `json:"largeBlob,omitempty"`
}

type credPropsJSON struct {
	ResidentKey *bool `json:"rk,omitempty"`
}

type hmacSecretsJSON struct {
	Output1 base64url `json:"output1"`
	Output2 base64url `json:"output2,omitzero"`
}

type prfResultsJSON struct {
	Enabled *bool          `json:"enabled,omitempty"`
	Results *prfValuesJSON `json:"results,omitempty"`
}

type largeBlobResultsJSON struct {
	Supported *bool     `json:"supported,omitempty"`
	Blob      base64url `json:"blob,omitzero"`
	Written   *bool     `json:"written,omitempty"`
}

func (r *ExtensionResults) json() extensionResultsJSON {
	results := extensionResultsJSON{
		AppID:            r.AppID,
		AppIDExclude:     r.AppIDExclude,
		HMACCreateSecret: r.HMACCreateSecret,
		CredBlob:         r.CredBlob,
		GetCredBlob:      r.GetCredBlob,
	}
	if c := r.CredProps; c != nil {
		results.CredProps = &credPropsJSON{c.ResidentKey}
	}
	if s := r.HMACGetSecret; s != nil {
		results.HMACGetSecret = &hmacSecretsJSON{s.Output1, s.Output2}
	}
	if p := r.PRF; p != nil {
		results.PRF = &prfResultsJSON{p.Enabled, p.Results.json()}
	}
	if l := r.LargeBlob; l != nil {
		results.LargeBlob = &largeBlobResultsJSON{l.Supported, l.Blob, l.Written}
	}
	return results
}
