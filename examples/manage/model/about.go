package model

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/keyfob-go/keyfob/ctap2"
)

// Fact is something that a key says about itself.
type Fact struct{ Name, Value string }

// About returns what there is to know about the key. What it does not say is left out.
func (o *Open) About() []Fact {
	i := o.Info
	all := []Fact{
		{"Maker", o.Key.Manufacturer},
		{"Product", o.Key.Product},
		{"Serial number", o.Key.Serial},
		{"Where", o.Key.Path},
		{"Speaks", list(i.Versions)},
		{"Model (AAGUID)", i.AAGUID.String()},
		{"Firmware", number(i.FirmwareVersion)},
		{"Options", options(i.Options)},
		{"Extensions", list(i.Extensions)},
		{"Algorithms", algorithms(i.Algorithms)},
		{"Transports", list(i.Transports)},
		{"Attestation", list(i.AttestationFormats)},
		{"PIN length", fmt.Sprintf("%d to %d characters", i.MinPINLength, i.MaxPINLength)},
		{"Certifications", list(slices.Sorted(maps.Keys(i.Certifications)))},
	}
	return slices.DeleteFunc(all, func(f Fact) bool { return f.Value == "" })
}

func list(words []string) string { return clean(strings.Join(words, ", ")) }

func number(n uint64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// options lists those that the key has, and which of them are off.
func options(all map[string]bool) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !all[name] {
			name += " (off)"
		}
		words = append(words, name)
	}
	return list(words)
}

func algorithms(all []ctap2.CredentialParameter) string {
	var words []string
	for _, a := range all {
		words = append(words, a.Algorithm.String())
	}
	return list(words)
}
