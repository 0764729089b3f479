package webauthn

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/attest"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

// A testKeyfob is an authenticator and a client that do as they are told.
type testKeyfob struct {
	clientData ClientData
	authData   AuthenticatorData
	format     string // of [attest.Formats]
	statement  any    // replaces the format's
	results    map[string]json.RawMessage
	rawID      []byte
	userHandle []byte
}

var testChallenge = []byte("a challenge of 32 bytes, at last")

func expected() Ceremony {
	return Ceremony{Challenge: testChallenge, RPID: "example.org", Origins: []string{"https://example.org", "android:x"}}
}

func newTestKeyfob(t testing.TB, typ string) *testKeyfob {
	t.Helper()
	k := &testKeyfob{
		clientData: ClientData{Type: typ, Challenge: testChallenge, Origin: "https://example.org"},
		authData: AuthenticatorData{
			RPIDHash:  sha256.Sum256([]byte("example.org")),
			Flags:     ctap2.FlagUP | ctap2.FlagUV,
			SignCount: 7,
		},
		format:     "packed",
		rawID:      []byte("credential"),
		userHandle: []byte("user"),
	}
	if typ == TypeCreate {
		key, err := cose.NewKey(cose.ES256, testKey(t, cose.ES256).Public())
		require.NoError(t, err)
		k.authData.Flags |= ctap2.FlagAT
		k.authData.Credential = &ctap2.AttestedCredential{AAGUID: testAAGUID, ID: []byte("credential"), PublicKey: key}
	}
	return k
}

func (k *testKeyfob) register(t testing.TB) *RegistrationResponse {
	t.Helper()
	authData, err := k.authData.Marshal()
	require.NoError(t, err)
	clientDataJSON := k.clientData.JSON()
	hash := ClientDataHash(clientDataJSON)
	r := &attest.Registration{
		AuthData: authData, ClientDataHash: hash[:], Algorithm: cose.ES256, Key: testKey(t, cose.ES256),
	}
	o := &AttestationObject{Format: k.format, AuthData: authData}
	if k.statement != nil {
		o.Statement, err = ctapcbor.Marshal(k.statement)
		require.NoError(t, err)
	} else {
		o = object(t, k.format, r)
	}
	b, err := o.Marshal()
	require.NoError(t, err)
	return &RegistrationResponse{
		RawID: k.rawID, ClientDataJSON: clientDataJSON, AttestationObject: b, Transports: []string{"usb"},
		ClientExtensionResults: k.results,
	}
}

func (k *testKeyfob) authenticate(t testing.TB) *AuthenticationResponse {
	t.Helper()
	authData, err := k.authData.Marshal()
	require.NoError(t, err)
	clientDataJSON := k.clientData.JSON()
	hash := ClientDataHash(clientDataJSON)
	sig, err := attest.Sign(cose.ES256, testKey(t, cose.ES256), append(bytes.Clone(authData), hash[:]...))
	require.NoError(t, err)
	return &AuthenticationResponse{
		RawID: k.rawID, ClientDataJSON: clientDataJSON, AuthenticatorData: authData, Signature: sig,
		UserHandle: k.userHandle, ClientExtensionResults: k.results,
	}
}

func registrationOptions() *RegistrationOptions { return &RegistrationOptions{Ceremony: expected()} }

func assertionOptions() *AssertionOptions {
	return &AssertionOptions{Ceremony: expected(), UserHandle: []byte("user")}
}

func testRecord(t testing.TB) *CredentialRecord {
	t.Helper()
	key, err := cose.NewKey(cose.ES256, testKey(t, cose.ES256).Public())
	require.NoError(t, err)
	return &CredentialRecord{ID: []byte("credential"), PublicKey: key, SignCount: 6}
}

// requireStep checks that an error is of one step only, and says so.
func requireStep(t testing.TB, want Step, err error) {
	t.Helper()
	require.ErrorIs(t, err, want)
	var step Step
	require.ErrorAs(t, err, &step)
	require.Equal(t, want, step)
	for s := StepCredential; s <= StepExtensions; s++ {
		require.Equal(t, s == want, errors.Is(err, s), "%v", s)
	}
	require.ErrorContains(t, err, ": "+want.Error()+": ")
}

func TestStepNames(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for s := StepCredential; s <= StepExtensions; s++ {
		require.NotEmpty(t, s.Error())
		require.False(t, seen[s.Error()], "%v", s)
		seen[s.Error()] = true
	}
	require.Equal(t, "step 0", Step(0).Error())
	require.Equal(t, "step 99", Step(99).Error())
	require.Equal(t, "step -1", Step(-1).Error())
}

func TestVerifyRegistration(t *testing.T) {
	t.Parallel()
	k := newTestKeyfob(t, TypeCreate)
	k.authData.Flags |= ctap2.FlagBE | ctap2.FlagBS
	r := k.register(t)
	v, err := VerifyRegistration(r, registrationOptions())
	require.NoError(t, err)
	require.Equal(t, CredentialRecord{
		ID: []byte("credential"), PublicKey: k.authData.Credential.PublicKey, SignCount: 7, UVInitialized: true,
		Transports: []string{"usb"}, BackupEligible: true, BackupState: true,
	}, v.Credential)
	require.Equal(t, &k.clientData, v.ClientData)
	require.Equal(t, AttestationBasic, v.Attestation.Type)
	require.Contains(t, v.Attestation.NotChecked, UncheckedTrustAnchor)

	clear(r.AttestationObject)
	require.Equal(t, []byte("credential"), v.Credential.ID, "the result keeps nothing of the response")
}

func TestVerifyRegistrationFailsByStep(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		step    Step
		keyfob  func(*testKeyfob)
		options func(*RegistrationOptions)
		spoil   func(*RegistrationResponse)
	}{
		"client data no JSON": {step: StepClientData, spoil: func(r *RegistrationResponse) { r.ClientDataJSON = []byte("{") }},
		"an assertion":        {step: StepType, keyfob: func(k *testKeyfob) { k.clientData.Type = TypeGet }},
		"another challenge":   {step: StepChallenge, keyfob: func(k *testKeyfob) { k.clientData.Challenge = []byte("x") }},
		"no challenge at all": {
			step:    StepChallenge,
			keyfob:  func(k *testKeyfob) { k.clientData.Challenge = nil },
			options: func(o *RegistrationOptions) { o.Challenge = nil },
		},
		"another origin": {step: StepOrigin, keyfob: func(k *testKeyfob) { k.clientData.Origin = "https://example.com" }},
		"a longer origin": {
			step: StepOrigin, keyfob: func(k *testKeyfob) { k.clientData.Origin = "https://example.org:8443" },
		},
		"a frame":      {step: StepCrossOrigin, keyfob: func(k *testKeyfob) { k.clientData.CrossOrigin = true }},
		"a top origin": {step: StepTopOrigin, keyfob: func(k *testKeyfob) { k.clientData.TopOrigin = "https://a" }},
		"a foreign frame": {
			step: StepTopOrigin,
			keyfob: func(k *testKeyfob) {
				k.clientData.CrossOrigin, k.clientData.TopOrigin = true, "https://b"
			},
			options: func(o *RegistrationOptions) { o.AllowCrossOrigin, o.TopOrigins = true, []string{"https://a"} },
		},
		"no attestation object": {
			step: StepAttestationObject, spoil: func(r *RegistrationResponse) { r.AttestationObject = nil },
		},
		"bytes behind it": {
			step:  StepAttestationObject,
			spoil: func(r *RegistrationResponse) { r.AttestationObject = append(r.AttestationObject, 0) },
		},
		"truncated authenticator data": {step: StepAuthenticatorData, spoil: func(r *RegistrationResponse) {
			o := AttestationObject{Format: "none", AuthData: make([]byte, 36)}
			r.AttestationObject, _ = o.Marshal()
		}},
		"no credential": {step: StepAuthenticatorData, spoil: func(r *RegistrationResponse) {
			o := AttestationObject{Format: "none", AuthData: make([]byte, 37)}
			r.AttestationObject, _ = o.Marshal()
		}},
		"another RP ID": {step: StepRPIDHash, options: func(o *RegistrationOptions) { o.RPID = "example.com" }},
		"no RP ID":      {step: StepRPIDHash, options: func(o *RegistrationOptions) { o.RPID = "" }},
		"RP ID hash of nothing": {
			step:    StepRPIDHash,
			keyfob:  func(k *testKeyfob) { k.authData.RPIDHash = sha256.Sum256(nil) },
			options: func(o *RegistrationOptions) { o.RPID = "" },
		},
		"no touch": {step: StepUserPresence, keyfob: func(k *testKeyfob) { k.authData.Flags &^= ctap2.FlagUP }},
		"no user verification": {
			step:    StepUserVerification,
			keyfob:  func(k *testKeyfob) { k.authData.Flags &^= ctap2.FlagUV },
			options: func(o *RegistrationOptions) { o.RequireUserVerification = true },
		},
		"backed up, not eligible": {step: StepBackup, keyfob: func(k *testKeyfob) { k.authData.Flags |= ctap2.FlagBS }},
		"another algorithm": {
			step:    StepAlgorithm,
			options: func(o *RegistrationOptions) { o.PubKeyCredParams = []cose.Algorithm{cose.EdDSA, cose.ESP256} },
		},
		"an unknown algorithm": {step: StepAlgorithm, keyfob: func(k *testKeyfob) {
			k.authData.Credential.PublicKey = nil
			k.authData.Credential.RawPublicKey = []byte{0xa2, 0x01, 0x07, 0x03, 0x38, 0x2f}
		}},
		"a wrong statement": {step: StepAttestation, keyfob: func(k *testKeyfob) { k.statement = members{"alg": -7} }},
		"no trust anchors": {
			step: StepTrust,
			options: func(o *RegistrationOptions) {
				o.TrustAnchors = func(*Attestation) (*x509.CertPool, error) { return nil, nil }
			},
		},
		"other trust anchors": {
			step: StepTrust,
			options: func(o *RegistrationOptions) {
				o.TrustAnchors = func(*Attestation) (*x509.CertPool, error) { return x509.NewCertPool(), nil }
			},
		},
		"no idea of trust anchors": {
			step: StepTrust,
			options: func(o *RegistrationOptions) {
				o.TrustAnchors = func(*Attestation) (*x509.CertPool, error) { return nil, boom }
			},
		},
		"expired certificates": {
			step: StepTrust,
			options: func(o *RegistrationOptions) {
				o.TrustAnchors = func(*Attestation) (*x509.CertPool, error) { return anchors(t), nil }
				o.Time = time.Date(2150, 1, 1, 0, 0, 0, 0, time.UTC)
			},
		},
		"an attestation that is not wanted": {
			step:    StepTrust,
			options: func(o *RegistrationOptions) { o.AcceptAttestation = func(*Attestation) error { return boom } },
		},
		"the client has another ID": {step: StepCredentialID, keyfob: func(k *testKeyfob) { k.rawID = []byte("x") }},
		"a registered ID": {
			step: StepCredentialID,
			options: func(o *RegistrationOptions) {
				o.IsRegistered = func(id []byte) (bool, error) { return string(id) == "credential", nil }
			},
		},
		"a broken database": {
			step:    StepCredentialID,
			options: func(o *RegistrationOptions) { o.IsRegistered = func([]byte) (bool, error) { return false, boom } },
		},
		"an unsolicited client output": {
			step:    StepExtensions,
			keyfob:  func(k *testKeyfob) { k.results = map[string]json.RawMessage{"a": nil, "credProps": nil} },
			options: func(o *RegistrationOptions) { o.Extensions = []string{"a"} },
		},
		"an unsolicited authenticator output": {
			step: StepExtensions,
			keyfob: func(k *testKeyfob) {
				k.authData.Flags |= ctap2.FlagED
				k.authData.Extensions = ctapcbor.RawMessage{0xa1, 0x61, 'x', 0xf5}
			},
			options: func(o *RegistrationOptions) { o.Extensions = []string{} },
		},
		"outputs that are not wanted": {
			step:    StepExtensions,
			options: func(o *RegistrationOptions) { o.CheckExtensions = func(ExtensionOutputs) error { return boom } },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, o := newTestKeyfob(t, TypeCreate), registrationOptions()
			if c.keyfob != nil {
				c.keyfob(k)
			}
			if c.options != nil {
				c.options(o)
			}
			r := k.register(t)
			if c.spoil != nil {
				c.spoil(r)
			}
			v, err := VerifyRegistration(r, o)
			require.Nil(t, v)
			requireStep(t, c.step, err)
			require.ErrorContains(t, err, "webauthn: registration: ")
		})
	}
}

func TestVerifyRegistrationAccepts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		keyfob  func(*testKeyfob)
		options func(*RegistrationOptions)
	}{
		"another of the origins": {keyfob: func(k *testKeyfob) { k.clientData.Origin = "android:x" }},
		"a frame that is allowed": {
			keyfob:  func(k *testKeyfob) { k.clientData.CrossOrigin = true },
			options: func(o *RegistrationOptions) { o.AllowCrossOrigin = true },
		},
		"a frame in a page that is expected": {
			keyfob:  func(k *testKeyfob) { k.clientData.CrossOrigin, k.clientData.TopOrigin = true, "https://a" },
			options: func(o *RegistrationOptions) { o.AllowCrossOrigin, o.TopOrigins = true, []string{"https://a"} },
		},
		"no touch where nobody was asked": {
			keyfob:  func(k *testKeyfob) { k.authData.Flags &^= ctap2.FlagUP },
			options: func(o *RegistrationOptions) { o.Conditional = true },
		},
		"a response without ID": {keyfob: func(k *testKeyfob) { k.rawID = nil }},
		"a solicited output": {
			keyfob:  func(k *testKeyfob) { k.results = map[string]json.RawMessage{"credProps": nil} },
			options: func(o *RegistrationOptions) { o.Extensions = []string{"credProps"} },
		},
		"a new ID": {options: func(o *RegistrationOptions) {
			o.IsRegistered = func([]byte) (bool, error) { return false, nil }
		}},
		"no attestation, with anchors for others": {
			keyfob: func(k *testKeyfob) { k.format = "none" },
			options: func(o *RegistrationOptions) {
				o.TrustAnchors = func(*Attestation) (*x509.CertPool, error) { return nil, errors.New("not called") }
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, o := newTestKeyfob(t, TypeCreate), registrationOptions()
			if c.keyfob != nil {
				c.keyfob(k)
			}
			if c.options != nil {
				c.options(o)
			}
			_, err := VerifyRegistration(k.register(t), o)
			require.NoError(t, err)
		})
	}
}

func TestVerifyRegistrationAsksAboutAttestationsOnceTheyAreKnown(t *testing.T) {
	t.Parallel()
	k, o := newTestKeyfob(t, TypeCreate), registrationOptions()
	o.TrustAnchors = func(a *Attestation) (*x509.CertPool, error) {
		require.Equal(t, FormatPacked, a.Format)
		require.Equal(t, testAAGUID, a.AAGUID)
		require.Empty(t, a.Chain)
		return anchors(t), nil
	}
	o.AcceptAttestation = func(a *Attestation) error {
		require.Len(t, a.Chain, 3)
		require.Equal(t, []Unchecked{UncheckedRevocation}, a.NotChecked)
		return nil
	}
	_, err := VerifyRegistration(k.register(t), o)
	require.NoError(t, err)
}

func TestVerifyRegistrationReturnsUnknownFormats(t *testing.T) {
	t.Parallel()
	part := members{"fmt": "x", "attStmt": members{}}
	for name, c := range map[string]struct {
		format    string
		statement any
	}{
		"a map":                       {"android-strongbox", members{"a": []byte{1}}},
		"something else":              {"x", 5},
		"a name that is nearly known": {"Packed", members{}},
		"compound of unknown ones":    {"compound", []any{part, part}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, o := newTestKeyfob(t, TypeCreate), registrationOptions()
			k.format, k.statement = c.format, c.statement
			r := k.register(t)
			v, err := VerifyRegistration(r, o)
			require.NoError(t, err)
			want, err := ctapcbor.Marshal(c.statement)
			require.NoError(t, err)
			require.Equal(t, &Attestation{
				Format: c.format, Type: AttestationUnknown, AAGUID: testAAGUID, Statement: want,
				NotChecked: []Unchecked{UncheckedStatement},
			}, v.Attestation)

			o.AcceptAttestation = func(a *Attestation) error { return fmt.Errorf("type %v", a.Type) }
			_, err = VerifyRegistration(r, o)
			requireStep(t, StepTrust, err)
			require.ErrorContains(t, err, "type unknown")
		})
	}
}

func TestCheckExtensionsSeesBothKindsOfOutputs(t *testing.T) {
	t.Parallel()
	k, o := newTestKeyfob(t, TypeCreate), registrationOptions()
	k.authData.Flags |= ctap2.FlagED
	k.authData.Extensions = ctapcbor.RawMessage{0xa1, 0x61, 'x', 0xf5}
	k.results = map[string]json.RawMessage{"credProps": json.RawMessage(`{"rk":true}`)}
	called := 0
	o.CheckExtensions = func(outputs ExtensionOutputs) error {
		called++
		require.Equal(t, ExtensionOutputs{
			Client:        k.results,
			Authenticator: map[string]ctapcbor.RawMessage{"x": {0xf5}},
		}, outputs)
		return nil
	}
	_, err := VerifyRegistration(k.register(t), o)
	require.NoError(t, err)
	require.Equal(t, 1, called)
}

func TestVerifyAssertion(t *testing.T) {
	t.Parallel()
	k, record := newTestKeyfob(t, TypeGet), testRecord(t)
	record.BackupEligible = true
	k.authData.Flags |= ctap2.FlagBE | ctap2.FlagBS
	before := *record
	v, err := VerifyAssertion(k.authenticate(t), record, assertionOptions())
	require.NoError(t, err)
	require.Equal(t, before, *record, "the record is not changed")
	want := before
	want.SignCount, want.BackupState = 7, true
	require.Equal(t, want, v.Credential)
	require.False(t, v.SignCountRegressed)
	require.Equal(t, &k.clientData, v.ClientData)
	require.Equal(t, &k.authData, v.AuthenticatorData)
}

func TestVerifyAssertionFailsByStep(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		step    Step
		keyfob  func(*testKeyfob)
		options func(*AssertionOptions)
		record  func(*CredentialRecord)
		spoil   func(*AuthenticationResponse)
	}{
		"a credential that was not asked for": {
			step:    StepCredential,
			options: func(o *AssertionOptions) { o.AllowCredentials = [][]byte{[]byte("a"), []byte("credential2")} },
		},
		"another record": {step: StepCredential, record: func(c *CredentialRecord) { c.ID = []byte("x") }},
		"no ID at all": {
			step:   StepCredential,
			keyfob: func(k *testKeyfob) { k.rawID = nil },
			record: func(c *CredentialRecord) { c.ID = nil },
		},
		"another user": {step: StepUserHandle, keyfob: func(k *testKeyfob) { k.userHandle = []byte("x") }},
		"a user where none is known": {
			step: StepUserHandle, options: func(o *AssertionOptions) { o.UserHandle = nil },
		},
		"no user": {
			step:    StepUserHandle,
			keyfob:  func(k *testKeyfob) { k.userHandle = nil },
			options: func(o *AssertionOptions) { o.RequireUserHandle = true },
		},
		"client data no JSON": {step: StepClientData, spoil: func(r *AuthenticationResponse) { r.ClientDataJSON = nil }},
		"a registration":      {step: StepType, keyfob: func(k *testKeyfob) { k.clientData.Type = TypeCreate }},
		"another challenge":   {step: StepChallenge, keyfob: func(k *testKeyfob) { k.clientData.Challenge = []byte("x") }},
		"another origin":      {step: StepOrigin, keyfob: func(k *testKeyfob) { k.clientData.Origin = "https://example.com" }},
		"a frame":             {step: StepCrossOrigin, keyfob: func(k *testKeyfob) { k.clientData.CrossOrigin = true }},
		"a top origin":        {step: StepTopOrigin, keyfob: func(k *testKeyfob) { k.clientData.TopOrigin = "https://a" }},
		"no authenticator data": {
			step: StepAuthenticatorData, spoil: func(r *AuthenticationResponse) { r.AuthenticatorData = nil },
		},
		"a new credential": {step: StepAuthenticatorData, keyfob: func(k *testKeyfob) {
			k.authData = newTestKeyfob(t, TypeCreate).authData
		}},
		"another RP ID": {step: StepRPIDHash, options: func(o *AssertionOptions) { o.RPID = "example.com" }},
		"the app ID, which was not asked for": {
			step: StepRPIDHash,
			keyfob: func(k *testKeyfob) {
				k.authData.RPIDHash = sha256.Sum256([]byte("https://example.org/u2f"))
				k.results = map[string]json.RawMessage{"appid": json.RawMessage("true")}
			},
		},
		"the app ID, which the client does not say": {
			step:    StepRPIDHash,
			keyfob:  func(k *testKeyfob) { k.authData.RPIDHash = sha256.Sum256([]byte("https://example.org/u2f")) },
			options: func(o *AssertionOptions) { o.AppID = "https://example.org/u2f" },
		},
		"no touch": {step: StepUserPresence, keyfob: func(k *testKeyfob) { k.authData.Flags &^= ctap2.FlagUP }},
		"no user verification": {
			step:    StepUserVerification,
			keyfob:  func(k *testKeyfob) { k.authData.Flags &^= ctap2.FlagUV },
			options: func(o *AssertionOptions) { o.RequireUserVerification = true },
		},
		"backed up, not eligible": {step: StepBackup, keyfob: func(k *testKeyfob) { k.authData.Flags |= ctap2.FlagBS }},
		"eligible all at once":    {step: StepBackup, keyfob: func(k *testKeyfob) { k.authData.Flags |= ctap2.FlagBE }},
		"not eligible any more":   {step: StepBackup, record: func(c *CredentialRecord) { c.BackupEligible = true }},
		"no key":                  {step: StepSignature, record: func(c *CredentialRecord) { c.PublicKey = nil }},
		"another key": {step: StepSignature, record: func(c *CredentialRecord) {
			c.PublicKey, _ = cose.NewKey(cose.ES256, newKey(t).Public())
		}},
		"no signature":         {step: StepSignature, spoil: func(r *AuthenticationResponse) { r.Signature = nil }},
		"a counter that stays": {step: StepSignCount, record: func(c *CredentialRecord) { c.SignCount = 7 }},
		"a counter that falls": {step: StepSignCount, record: func(c *CredentialRecord) { c.SignCount = 1 << 31 }},
		"a counter that ends":  {step: StepSignCount, keyfob: func(k *testKeyfob) { k.authData.SignCount = 0 }},
		"an unsolicited output": {
			step:    StepExtensions,
			keyfob:  func(k *testKeyfob) { k.results = map[string]json.RawMessage{"prf": nil} },
			options: func(o *AssertionOptions) { o.Extensions = []string{} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, o, record := newTestKeyfob(t, TypeGet), assertionOptions(), testRecord(t)
			if c.keyfob != nil {
				c.keyfob(k)
			}
			if c.options != nil {
				c.options(o)
			}
			if c.record != nil {
				c.record(record)
			}
			r := k.authenticate(t)
			if c.spoil != nil {
				c.spoil(r)
			}
			v, err := VerifyAssertion(r, record, o)
			require.Nil(t, v)
			requireStep(t, c.step, err)
			require.ErrorContains(t, err, "webauthn: assertion: ")
		})
	}
}

func TestVerifyAssertionAccepts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		keyfob  func(*testKeyfob)
		options func(*AssertionOptions)
		record  func(*CredentialRecord)
	}{
		"a credential that was asked for": {
			options: func(o *AssertionOptions) { o.AllowCredentials = [][]byte{[]byte("a"), []byte("credential")} },
		},
		"a user who is known before": {keyfob: func(k *testKeyfob) { k.userHandle = nil }},
		"a user handle of JSON null": {keyfob: func(k *testKeyfob) { k.userHandle = []byte{} }},
		"a user who says who he is":  {options: func(o *AssertionOptions) { o.RequireUserHandle = true }},
		"counters that do not count": {
			keyfob: func(k *testKeyfob) { k.authData.SignCount = 0 },
			record: func(c *CredentialRecord) { c.SignCount = 0 },
		},
		"the app ID": {
			keyfob: func(k *testKeyfob) {
				k.authData.RPIDHash = sha256.Sum256([]byte("https://example.org/u2f"))
				k.results = map[string]json.RawMessage{"appid": json.RawMessage("true")}
			},
			options: func(o *AssertionOptions) { o.AppID = "https://example.org/u2f" },
		},
		"the RP ID in spite of the app ID": {
			keyfob:  func(k *testKeyfob) { k.results = map[string]json.RawMessage{"appid": json.RawMessage("false")} },
			options: func(o *AssertionOptions) { o.AppID = "https://example.org/u2f" },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, o, record := newTestKeyfob(t, TypeGet), assertionOptions(), testRecord(t)
			if c.keyfob != nil {
				c.keyfob(k)
			}
			if c.options != nil {
				c.options(o)
			}
			if c.record != nil {
				c.record(record)
			}
			_, err := VerifyAssertion(k.authenticate(t), record, o)
			require.NoError(t, err)
		})
	}
}

func TestVerifyAssertionReportsARegressedCounter(t *testing.T) {
	t.Parallel()
	k, o, record := newTestKeyfob(t, TypeGet), assertionOptions(), testRecord(t)
	record.SignCount = 100
	o.AllowSignCountRegression = true
	v, err := VerifyAssertion(k.authenticate(t), record, o)
	require.NoError(t, err)
	require.True(t, v.SignCountRegressed)
	require.Equal(t, uint32(100), v.Credential.SignCount, "what the copy counts does not matter")
}

func FuzzVerifyRegistration(f *testing.F) {
	r := newTestKeyfob(f, TypeCreate).register(f)
	f.Add(r.ClientDataJSON, r.AttestationObject)
	f.Fuzz(func(t *testing.T, clientDataJSON, object []byte) {
		v, err := VerifyRegistration(
			&RegistrationResponse{ClientDataJSON: clientDataJSON, AttestationObject: object}, registrationOptions())
		if err != nil {
			require.Nil(t, v)
			var step Step
			require.ErrorAs(t, err, &step)
			return
		}
		require.NotEmpty(t, v.Credential.ID)
		require.NotNil(t, v.Credential.PublicKey)
		require.NotNil(t, v.Attestation)
	})
}

// BenchmarkVerifyAssertion compares all the checks with the mathematics alone.
func BenchmarkVerifyAssertion(b *testing.B) {
	r, record, o := newTestKeyfob(b, TypeGet).authenticate(b), testRecord(b), assertionOptions()
	b.Run("VerifyAssertion", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := VerifyAssertion(r, record, o); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ecdsa.VerifyASN1", func(b *testing.B) {
		hash := ClientDataHash(r.ClientDataJSON)
		digest := sha256.Sum256(append(bytes.Clone(r.AuthenticatorData), hash[:]...))
		pub := record.PublicKey.Public.(*ecdsa.PublicKey)
		b.ReportAllocs()
		for b.Loop() {
			if !ecdsa.VerifyASN1(pub, digest[:], r.Signature) {
				b.Fatal("does not verify")
			}
		}
	})
}

// What a hostile response can cost: as many and as large certificates as it may have, and CBOR that is deep or wide.
func BenchmarkVerifyHostileRegistrations(b *testing.B) {
	ca := testAuthority(b)
	r := attested(b, cose.ES256)
	statement, err := ca.Statement("packed", r)
	require.NoError(b, err)
	m := statement.(members)
	x5c := m["x5c"].([]any)
	long := append(x5c[:1:1], bigCertificates(b, 15, 7000)...)
	verify := func(statement any) func(b *testing.B) {
		o := encode(b, "packed", r, statement)
		return func(b *testing.B) {
			b.ReportMetric(float64(len(o.Statement)), "bytes")
			for b.Loop() {
				if a, err := o.Verify(r.ClientDataHash); err == nil {
					_ = a.VerifyTrust(anchors(b), time.Time{})
				}
			}
		}
	}
	b.Run("100 kB of certificates", verify(changed(m, members{"x5c": long})))
	b.Run("a leaf with 8192 bits", verify(members{
		"alg": cose.RS256, "sig": append([]byte{0, 1}, make([]byte, 1022)...), "x5c": []any{certificateOfBits(b, 8192)},
	}))
	b.Run("deep CBOR", verify(ctapcbor.RawMessage(append(bytes.Repeat([]byte{0x81}, 6), 0x01))))
	wide := append([]byte{0xb9, 0xc3, 0x50}, bytes.Repeat([]byte{0x19}, 3)...) // a map that promises 50,000 members
	b.Run("CBOR that promises much", func(b *testing.B) {
		for b.Loop() {
			if _, err := ParseAttestationObject(wide); err == nil {
				b.Fatal("accepted")
			}
		}
	})
	deep := append(bytes.Repeat([]byte{0x81}, 100_000), 0x01)
	b.Run("100,000 levels of CBOR", func(b *testing.B) {
		for b.Loop() {
			if _, err := ParseAttestationObject(deep); err == nil {
				b.Fatal("accepted")
			}
		}
	})
}

// bigCertificates returns certificates that, as far as names go, may have issued the leaf and each other.
func bigCertificates(t testing.TB, n, size int) []any {
	t.Helper()
	var certs []any
	for range n {
		key := newKey(t)
		template := &x509.Certificate{
			SerialNumber:          big.NewInt(1),
			Subject:               pkix.Name{CommonName: "keyfob test authority: Intermediate"},
			NotAfter:              time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
			IsCA:                  true,
			BasicConstraintsValid: true,
			ExtraExtensions:       []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: make([]byte, size)}},
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		require.NoError(t, err)
		certs = append(certs, any(der))
	}
	return certs
}
