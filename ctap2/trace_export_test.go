package ctap2

import "bytes"

// SecretKey is for tests that look for it where it must not be.
func (s *SharedSecret) SecretKey() []byte { return bytes.Clone(s.key) }

// SecretKey is for tests that look for it where it must not be.
func (t *Token) SecretKey() []byte { return bytes.Clone(t.key) }
