package webauthn

import (
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
)

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
				k.results = ExtensionResults{AppID: new(true)}
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
			keyfob:  func(k *testKeyfob) { k.results = ExtensionResults{PRF: new(PRFResults)} },
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
				k.results = ExtensionResults{AppID: new(true)}
			},
			options: func(o *AssertionOptions) { o.AppID = "https://example.org/u2f" },
		},
		"the RP ID in spite of what the client says": {
			keyfob: func(k *testKeyfob) { k.results = ExtensionResults{AppID: new(true)} },
		},
		"the RP ID in spite of the app ID": {
			keyfob:  func(k *testKeyfob) { k.results = ExtensionResults{AppID: new(false)} },
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
