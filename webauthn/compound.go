package webauthn

import (
	"errors"
	"fmt"

	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// maxParts bounds the work: one part costs up to some milliseconds.
const maxParts = 8

// verifyCompound is the procedure of WebAuthn Level 3, section 8.9. How many parts must be good is the relying party's
// decision; here all of a known format, and at least one of them, so that no part that is wrong goes unnoticed.
func verifyCompound(s *statement) (*Attestation, error) {
	parts, err := s.parts()
	if err != nil {
		return nil, err
	}
	a := &Attestation{Format: s.format, Type: AttestationCompound}
	known := 0
	for i, part := range parts {
		verified, err := part.verify()
		switch {
		case errors.Is(err, ErrUnsupportedFormat):
			verified = part.unknown()
		case err != nil:
			return nil, fmt.Errorf("part %d: %w", i, err)
		default:
			known++
		}
		a.Parts = append(a.Parts, verified)
	}
	if known == 0 {
		return nil, fmt.Errorf("%w of all parts", ErrUnsupportedFormat)
	}
	return a, nil
}

// parts returns the statements within the statement.
func (s *statement) parts() ([]*statement, error) {
	if items, err := decode[[]any](s.raw); err != nil {
		return nil, err
	} else if len(items) < 2 || len(items) > maxParts {
		return nil, fmt.Errorf("%d parts, want 2 to %d", len(items), maxParts)
	}
	var raws []ctapcbor.RawMessage
	if err := ctapcbor.Unmarshal(s.raw, &raws); err != nil {
		return nil, err
	}
	parts := make([]*statement, len(raws))
	for i, raw := range raws {
		part, err := s.part(raw)
		if err != nil {
			return nil, fmt.Errorf("part %d: %w", i, err)
		}
		parts[i] = part
	}
	return parts, nil
}

func (s *statement) part(raw ctapcbor.RawMessage) (*statement, error) {
	var m map[string]ctapcbor.RawMessage
	if err := ctapcbor.Unmarshal(raw, &m); err != nil {
		return nil, err
	}
	attStmt, ok := m["attStmt"]
	if !ok || len(m) != 2 {
		return nil, errors.New("the members are not fmt and attStmt")
	}
	format, err := decode[string](m["fmt"])
	if err != nil {
		return nil, fmt.Errorf("fmt: %w", err)
	}
	if format == FormatCompound {
		return nil, errors.New("a compound statement within another")
	}
	part := *s
	part.format, part.raw = format, attStmt
	return &part, nil
}
