package ctap1

import (
	"bytes"
	"testing"

	"github.com/keyfob-go/keyfob/internal/seeds"
)

// What parses as a registration has all of its parts, and nothing else.
func FuzzParseRegistration(f *testing.F) {
	seeds.Add(f, "u2f-registrations")
	whole := unhex(f, exampleRegistration)
	f.Add(whole)
	f.Add(whole[:67])
	f.Add(append(bytes.Clone(whole), 0))
	f.Add(unhex(f, "05"+examplePoint+"01aa"+"3000"+"3006020101020101"))
	f.Add(unhex(f, "05"+examplePoint+"01aa"+"3084ffffffff"))
	f.Add(registrationWith(f, make([]byte, maxKeyHandle)))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRegistration(b)
		if err != nil {
			return
		}
		if !bytes.Equal(r.encode(t), b) {
			t.Fatalf("%x became %x", b, r.encode(t))
		}
		if len(r.KeyHandle) == 0 || len(r.Certificate) == 0 || len(r.Signature) == 0 {
			t.Fatalf("accepted %+v", r)
		}
		if _, err := r.AuthenticatorData([32]byte{}); err != nil {
			t.Fatal(err)
		}
	})
}

// A certificate is parsed or refused, and changed in no more than the one byte.
func FuzzX509(f *testing.F) {
	good := unhex(f, exampleCertificate)
	f.Add(good)
	f.Add(append(bytes.Clone(good[:len(good)-71]), append([]byte{3}, good[len(good)-70:]...)...))
	f.Add([]byte{0x30, 0x07, 0x30, 0, 0x30, 0, 3, 1, 3})
	f.Add([]byte{0x30, 0x06, 0x30, 0, 0x30, 0, 3, 0})
	f.Fuzz(func(t *testing.T, der []byte) {
		before := bytes.Clone(der)
		cert, err := (&Registration{Certificate: der}).X509()
		if !bytes.Equal(der, before) {
			t.Fatal("the certificate was changed")
		}
		if err != nil {
			return
		}
		changed := 0
		for i := range cert.Raw {
			if cert.Raw[i] != der[i] {
				changed++
			}
		}
		if len(cert.Raw) != len(der) || changed > 1 {
			t.Fatalf("%x became %x", der, cert.Raw)
		}
	})
}

// What parses as an assertion has no flags but that of the user's presence.
func FuzzParseAssertion(f *testing.F) {
	seeds.Add(f, "u2f-assertions")
	f.Add(unhex(f, exampleAssertion))
	f.Add(unhex(f, "00ffffffff3006020101020101"))
	f.Add(unhex(f, "01000000013006020100020101"))
	f.Add(unhex(f, "c1000000013006020101020101"))
	f.Add([]byte{1, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := parseAssertion(b)
		if err != nil {
			return
		}
		if !bytes.Equal(a.encode(), b) {
			t.Fatalf("%x became %x", b, a.encode())
		}
		if n := len(a.Signature); n < 8 || n > 72 {
			t.Fatalf("accepted a signature of %d bytes", n)
		}
	})
}

// A key that answers anything gets no further than an error: the fuzz bytes are its answers, each after its length.
func FuzzOperations(f *testing.F) {
	f.Add(frames(ok([]byte("U2F_V2"))))
	f.Add(frames(status(ErrWrongLength), status(ErrWrongLength), ok([]byte("U2F_V2"))))
	f.Add(frames([]byte{'U', 0x61, 5}, ok([]byte("2F_V2"))))
	f.Add(frames([]byte{0x61, 0}, []byte{0x61, 0xff}, []byte{0x90}))
	f.Add(frames(ok(unhex(f, exampleAssertion))))
	f.Fuzz(func(t *testing.T, b []byte) {
		asked := 0
		c := &Client{Transport: keyFunc(func([]byte) ([]byte, error) {
			asked++
			var answer []byte
			answer, b = nextFrame(b)
			return answer, nil
		})}
		if version, err := c.Version(t.Context()); err == nil && !validVersion([]byte(version)) {
			t.Fatalf("accepted version %q", version)
		}
		if yes, err := c.Check(t.Context(), [32]byte{}, []byte("handle")); yes && err != nil {
			t.Fatal(err)
		}
		a, err := c.Authenticate(t.Context(), DontEnforceUserPresence, [32]byte{}, [32]byte{}, []byte("handle"))
		if (a == nil) != (err != nil) {
			t.Fatalf("both or neither: %v, %v", a, err)
		}
		if most := 7 * maxPieces; asked > most { // three encodings of the version, and twice two of authenticate
			t.Fatalf("sent %d messages", asked)
		}
	})
}

func frames(answers ...[]byte) []byte {
	var b []byte
	for _, answer := range answers {
		b = append(append(b, byte(len(answer))), answer...)
	}
	return b
}

// nextFrame returns the next answer, the last of which may be cut short, and then only empty ones.
func nextFrame(b []byte) (answer, rest []byte) {
	if len(b) == 0 {
		return nil, nil
	}
	end := min(1+int(b[0]), len(b))
	return b[1:end], b[end:]
}
