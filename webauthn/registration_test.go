package webauthn

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/ctapcbor"
)

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
		"a top origin without a frame": {
			step:    StepTopOrigin,
			keyfob:  func(k *testKeyfob) { k.clientData.TopOrigin = "https://a" },
			options: func(o *RegistrationOptions) { o.AllowCrossOrigin, o.TopOrigins = true, []string{"https://a"} },
		},
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
			step: StepExtensions,
			keyfob: func(k *testKeyfob) {
				k.results = ExtensionResults{CredProps: new(CredentialProperties), Other: map[string]json.RawMessage{"a": nil}}
			},
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
			keyfob:  func(k *testKeyfob) { k.results = ExtensionResults{CredProps: new(CredentialProperties)} },
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
	k.results = ExtensionResults{CredProps: &CredentialProperties{ResidentKey: new(true)}}
	called := 0
	o.CheckExtensions = func(outputs ExtensionOutputs) error {
		called++
		require.Equal(t, ExtensionOutputs{
			Client:        &k.results,
			Authenticator: map[string]ctapcbor.RawMessage{"x": {0xf5}},
		}, outputs)
		return nil
	}
	_, err := VerifyRegistration(k.register(t), o)
	require.NoError(t, err)
	require.Equal(t, 1, called)
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
