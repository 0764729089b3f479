package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
)

func infoCommand(inv *invocation) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "info",
		Short: "Show what a key says about itself.",
		Args:  cobra.NoArgs,
		RunE: inv.withKey(func(_ context.Context, key *authenticator.Authenticator) (output, error) {
			return infoRecord(key.Info()), nil
		}),
	}
	inv.forKey(cmd)
	return cmd
}

// infoRecord holds what the key says, by the names of CTAP 2.3, section 6.4. What the key leaves out is left out, but
// for what has a default.
func infoRecord(i *ctap2.Info) record {
	all := record{
		{"versions", words(i.Versions)},
		{"extensions", given(i.Extensions != nil, words(i.Extensions))},
		{"aaguid", i.AAGUID.String()},
		{"options", options(i.Options)},
		{"maxMsgSize", i.MaxMsgSize},
		{"pinUvAuthProtocols", numbered(i.PINUVAuthProtocols)},
		{"maxCredentialCountInList", nonzero(i.MaxCredentialCountInList)},
		{"maxCredentialIdLength", nonzero(i.MaxCredentialIDLength)},
		{"transports", given(i.Transports != nil, words(i.Transports))},
		{"algorithms", given(i.Algorithms != nil, algorithms(i.Algorithms))},
		{"maxSerializedLargeBlobArray", nonzero(i.MaxSerializedLargeBlobArray)},
		{"forcePINChange", i.ForcePINChange},
		{"minPINLength", i.MinPINLength},
		{"firmwareVersion", nonzero(i.FirmwareVersion)},
		{"maxCredBlobLength", nonzero(i.MaxCredBlobLength)},
		{"maxRPIDsForSetMinPINLength", nonzero(i.MaxRPIDsForSetMinPINLength)},
		{"preferredPlatformUvAttempts", nonzero(i.PreferredPlatformUVAttempts)},
		{"uvModality", nonzero(i.UVModality)},
		{"certifications", given(i.Certifications != nil, certifications(i.Certifications))},
		{"remainingDiscoverableCredentials", pointed(i.RemainingDiscoverableCredentials)},
		{"vendorPrototypeConfigCommands", numbered(i.VendorPrototypeConfigCommands)},
		{"attestationFormats", words(i.AttestationFormats)},
		{"uvCountSinceLastPinEntry", pointed(i.UVCountSinceLastPINEntry)},
		{"longTouchForReset", i.LongTouchForReset},
		{"encIdentifier", given(i.EncIdentifier != nil, binary(i.EncIdentifier))},
		{"transportsForReset", given(i.TransportsForReset != nil, words(i.TransportsForReset))},
		{"pinComplexityPolicy", pointed(i.PINComplexityPolicy)},
		{"pinComplexityPolicyURL", nonzero(string(i.PINComplexityPolicyURL))},
		{"maxPINLength", i.MaxPINLength},
		{"encCredStoreState", given(i.EncCredStoreState != nil, binary(i.EncCredStoreState))},
		{"authenticatorConfigCommands", numbered(i.AuthenticatorConfigCommands)},
	}
	return slices.DeleteFunc(all, func(f field) bool { return f.value == nil })
}

// nonzero, pointed, numbered and given return nil for what the key left out.
func nonzero[T comparable](v T) any {
	var zero T
	if v == zero {
		return nil
	}
	return v
}

func pointed[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}

func numbered[T ~uint64](l []T) any { return given(l != nil, numbers[T](l)) }

func given(present bool, value any) any {
	if !present {
		return nil
	}
	return value
}

// numbers are shown with commas in between.
type numbers[T ~uint64 | ~float64] []T

func (l numbers[T]) String() string {
	list := make(words, len(l))
	for i, n := range l {
		list[i] = fmt.Sprint(n)
	}
	return list.String()
}

// pairs are an object whose members show as name=value, sorted.
type pairs[T bool | uint64] map[string]T

type (
	options        = pairs[bool]
	certifications = pairs[uint64]
)

// MarshalJSON implements [json.Marshaler]. No pairs are an empty object.
func (p pairs[T]) MarshalJSON() ([]byte, error) {
	if p == nil {
		return []byte("{}"), nil
	}
	return json.Marshal(map[string]T(p))
}

func (p pairs[T]) String() string {
	var list words
	for _, name := range slices.Sorted(maps.Keys(p)) {
		list = append(list, fmt.Sprintf("%s=%v", name, p[name]))
	}
	return list.String()
}

// algorithms show by their names, and in JSON as the specification has them.
type algorithms []ctap2.CredentialParameter

// MarshalJSON implements [json.Marshaler].
func (l algorithms) MarshalJSON() ([]byte, error) {
	records := make([]record, len(l))
	for i, a := range l {
		records[i] = record{{"type", a.Type}, {"alg", int(a.Algorithm)}}
	}
	return json.Marshal(records)
}

func (l algorithms) String() string {
	var list words
	for _, a := range l {
		list = append(list, a.Algorithm.String())
	}
	return list.String()
}
