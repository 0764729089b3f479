package ctap2

import "bytes"

// SecretKey is for tests that look for it where it must not be.
func (s *SharedSecret) SecretKey() []byte { return bytes.Clone(s.key) }
