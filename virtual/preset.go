package virtual

import (
	"context"
	"fmt"
)

// A Preset is a class of keys that people have. Its text is its name.
type Preset string

// The presets, the oldest keys first.
const (
	PresetU2F        Preset = "u2f"           // U2F only
	Preset20         Preset = "2.0"           // CTAP 2.0 that can have no PIN
	Preset20PIN      Preset = "2.0-pin"       // CTAP 2.0 with PIN protocol 1
	Preset21Pre      Preset = "2.1-pre"       // CTAP 2.1-PRE: credential management before it was finished
	Preset21         Preset = "2.1"           // CTAP 2.1, with its preview's commands, but no fingerprint reader
	Preset21AlwaysUV Preset = "2.1-always-uv" // the same with alwaysUv on
	PresetBiometric  Preset = "biometric"     // the same with a fingerprint reader; no finger is enrolled yet
	Preset23         Preset = "2.3"           // CTAP 2.3 with everything but the preview, a fingerprint reader too
)

// Presets returns all presets, the oldest keys first.
func Presets() []Preset {
	return []Preset{
		PresetU2F, Preset20, Preset20PIN, Preset21Pre, Preset21, Preset21AlwaysUV, PresetBiometric, Preset23,
	}
}

// Config returns what makes a key of the class. Its user touches it at once, and has one finger, which it always
// reads well. All of it may be changed. That of an unknown preset is one that [New] refuses.
func (p Preset) Config() Config {
	c := p.config()
	c.preset = p
	return c
}

func (p Preset) config() Config {
	switch p {
	case PresetU2F:
		return Config{U2FOnly: true}
	case Preset20:
		return Config{Version: CTAP20, NoClientPIN: true}
	case Preset20PIN:
		return Config{Version: CTAP20}
	case Preset21Pre:
		return Config{Version: CTAP21Pre}
	case Preset21:
		return Config{Version: CTAP21, Preview: true}
	case Preset21AlwaysUV:
		return Config{Version: CTAP21, Preview: true, AlwaysUV: true}
	case PresetBiometric:
		return Config{Version: CTAP21, Preview: true, Finger: indexFinger}
	case Preset23:
		return Config{Version: CTAP23, Finger: indexFinger, EnterpriseAttestation: true}
	}
	return Config{Version: -1}
}

func indexFinger(context.Context, Prompt) (Sample, error) { return Sample{Finger: "index"}, nil }

// PresetOf returns the preset of which the key in a state file was made, so that who goes on with the key need not
// remember; empty for a key that was made of no preset.
func PresetOf(stateFile string) (Preset, error) {
	s, err := readState(stateFile)
	if err != nil {
		return "", fmt.Errorf("virtual: %w", err)
	}
	return s.Preset, nil
}
