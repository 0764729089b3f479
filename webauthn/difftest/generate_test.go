package difftest_test

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cloudflare/circl/sign/ed448"
	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"
	"github.com/cloudflare/circl/sign/mldsa/mldsa87"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"github.com/fxamacker/cbor/v2"
	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/internal/attest"
	"github.com/keyfob-go/keyfob/virtual"
	"github.com/keyfob-go/keyfob/webauthn"
)

var ca *attest.Authority

func TestMain(m *testing.M) {
	var err error
	if ca, err = attest.NewAuthority(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	roots := []*x509.Certificate{ca.Root()}
	if v, err := readVectors(); err == nil && v != nil {
		if root, err := x509.ParseCertificate(v.Root.Certificate); err == nil {
			roots = append(roots, root)
		}
	}
	trustEverywhere(roots...)
	os.Exit(m.Run())
}

var (
	standardAlgorithms = []cose.Algorithm{
		cose.ES256, cose.ES384, cose.ES512, cose.ESP256, cose.ESP384, cose.ESP512, cose.EdDSA, cose.Ed25519,
		cose.RS256, cose.RS384, cose.RS512, cose.PS256, cose.PS384, cose.PS512,
	}
	extraAlgorithms = []cose.Algorithm{cose.ES256K, cose.Ed448, cose.MLDSA44, cose.MLDSA65, cose.MLDSA87}
)

// A keyPair signs for one algorithm.
type keyPair struct {
	public crypto.PublicKey
	signer crypto.Signer // nil for ES256K and Ed448
	sign   func(message []byte) ([]byte, error)
}

// newKeyPair makes RSA keys once only, for they take a while.
func newKeyPair(t testing.TB, alg cose.Algorithm) *keyPair {
	t.Helper()
	switch alg {
	case cose.ES256K:
		key, err := secp256k1.GeneratePrivateKey()
		require.NoError(t, err)
		return &keyPair{public: key.PubKey(), sign: func(message []byte) ([]byte, error) {
			digest := sha256.Sum256(message)
			return ecdsa.Sign(key, digest[:]).Serialize(), nil
		}}
	case cose.Ed448:
		public, key, err := ed448.GenerateKey(rand.Reader)
		require.NoError(t, err)
		return &keyPair{public: public, sign: func(message []byte) ([]byte, error) {
			return ed448.Sign(key, message, ""), nil
		}}
	}
	signer := newSigner(t, alg)
	return &keyPair{public: signer.Public(), signer: signer, sign: func(message []byte) ([]byte, error) {
		return attest.Sign(alg, signer, message)
	}}
}

var rsaKey = sync.OnceValues(func() (crypto.Signer, error) { return attest.NewKey(cose.RS256) })

func newSigner(t testing.TB, alg cose.Algorithm) (signer crypto.Signer) {
	t.Helper()
	var err error
	switch alg {
	case cose.MLDSA44:
		_, signer, err = wrap(mldsa44.GenerateKey(rand.Reader))
	case cose.MLDSA65:
		_, signer, err = wrap(mldsa65.GenerateKey(rand.Reader))
	case cose.MLDSA87:
		_, signer, err = wrap(mldsa87.GenerateKey(rand.Reader))
	case cose.RS256, cose.RS384, cose.RS512, cose.PS256, cose.PS384, cose.PS512:
		signer, err = rsaKey()
	default:
		signer, err = attest.NewKey(alg)
	}
	require.NoError(t, err)
	return signer
}

func wrap[P any, S crypto.Signer](public P, signer S, err error) (P, crypto.Signer, error) {
	return public, signer, err
}

// A recipe says what kind of ceremony to make.
type recipe struct {
	format     string // of [attest.Formats]
	alg        cose.Algorithm
	attester   cose.Algorithm
	backup     bool
	extensions bool
	parts      []string
}

func (r recipe) String() string {
	return fmt.Sprintf("%s %v by %v backup=%t extensions=%t %v", r.format, r.alg, r.attester, r.backup, r.extensions, r.parts)
}

// recipes are all that make sense.
func recipes() []recipe {
	var all []recipe
	for _, alg := range slices.Concat(standardAlgorithms, extraAlgorithms) {
		all = append(all, recipe{format: "none", alg: alg}, recipe{format: "none", alg: alg, backup: true, extensions: true})
		all = append(all, recipe{format: "self", alg: alg}, recipe{format: "packed", alg: alg, extensions: true})
	}
	for _, alg := range standardAlgorithms {
		all = append(all, recipe{format: "packed", alg: cose.ES256, attester: alg})
		all = append(all, recipe{format: "android-key", alg: alg}, recipe{format: "apple", alg: alg})
		all = append(all, recipe{format: "android-safetynet", alg: alg})
		if alg != cose.EdDSA && alg != cose.Ed25519 {
			all = append(all, recipe{format: "tpm", alg: alg}, recipe{format: "tpm", alg: cose.ES256, attester: alg})
		}
	}
	all = append(all, recipe{format: "tpm", alg: cose.RS256, attester: cose.RS1})
	all = append(all, recipe{format: "fido-u2f", alg: cose.ES256})
	all = append(all, recipe{format: "compound", alg: cose.ES256})
	all = append(all, recipe{format: "compound", alg: cose.RS256, parts: []string{"tpm", "self", "apple"}})
	return all
}

func random(t testing.TB, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	_, err := rand.Read(b)
	require.NoError(t, err)
	return b
}

// make carries a recipe out.
func (r recipe) make(t testing.TB) *ceremony {
	t.Helper()
	key := newKeyPair(t, r.alg)
	public, err := cose.NewKey(r.alg, key.public)
	require.NoError(t, err)
	c := &ceremony{
		name: r.String(), format: attest.Name(r.format), alg: r.alg,
		createChallenge: random(t, 32), getChallenge: random(t, 32),
	}
	id := random(t, 32)
	data := webauthn.AuthenticatorData{
		RPIDHash: sha256.Sum256([]byte(rpID)),
		Flags:    ctap2.FlagUP | ctap2.FlagUV | ctap2.FlagAT,
		Credential: &ctap2.AttestedCredential{
			AAGUID: ctap2.AAGUID(random(t, 16)), ID: id, PublicKey: public,
		},
	}
	if r.backup {
		data.Flags |= ctap2.FlagBE | ctap2.FlagBS
	}
	if r.extensions {
		data.Flags |= ctap2.FlagED
		data.Extensions = []byte("\xa1\x6bcredProtect\x02")
	}
	authData, err := data.Marshal()
	require.NoError(t, err)
	c.registration = webauthn.RegistrationResponse{
		RawID:          id,
		ClientDataJSON: (&webauthn.ClientData{Type: webauthn.TypeCreate, Challenge: c.createChallenge, Origin: origin}).JSON(),
	}
	c.registration.AttestationObject = r.attest(t, key, authData, c.registration.ClientDataJSON)

	data.Flags &^= ctap2.FlagAT | ctap2.FlagED
	data.Credential, data.Extensions, data.SignCount = nil, nil, 1
	c.sign(t, &data, key)
	return c
}

func (r recipe) attest(t testing.TB, key *keyPair, authData, clientDataJSON []byte) []byte {
	t.Helper()
	hash := webauthn.ClientDataHash(clientDataJSON)
	var statement any
	var err error
	if r.format == "self" && key.signer == nil {
		var sig []byte
		sig, err = key.sign(slices.Concat(authData, hash[:]))
		statement = map[string]any{"alg": r.alg, "sig": sig}
	} else {
		statement, err = ca.Statement(r.format, &attest.Registration{
			AuthData: authData, ClientDataHash: hash[:], Algorithm: r.alg, Key: key.signer, Attester: r.attester,
			Parts: r.parts,
			// go-webauthn wants the response to be a minute old at most.
			Payload: func(p map[string]any) { p["timestampMs"] = time.Now().UnixMilli() },
		})
	}
	require.NoError(t, err)
	raw, err := cbor.Marshal(statement)
	require.NoError(t, err)
	object, err := (&webauthn.AttestationObject{
		Format: attest.Name(r.format), Statement: raw, AuthData: authData,
	}).Marshal()
	require.NoError(t, err)
	return object
}

// sign makes the ceremony's assertion.
func (c *ceremony) sign(t testing.TB, data *webauthn.AuthenticatorData, key *keyPair) {
	t.Helper()
	authData, err := data.Marshal()
	require.NoError(t, err)
	clientDataJSON := (&webauthn.ClientData{Type: webauthn.TypeGet, Challenge: c.getChallenge, Origin: origin}).JSON()
	hash := webauthn.ClientDataHash(clientDataJSON)
	sig, err := key.sign(slices.Concat(authData, hash[:]))
	require.NoError(t, err)
	c.assertion = webauthn.AuthenticationResponse{
		RawID: c.registration.RawID, ClientDataJSON: clientDataJSON, AuthenticatorData: authData, Signature: sig,
	}
}

// onVirtualKey has the virtual authenticator make a ceremony.
func onVirtualKey(t testing.TB, alg cose.Algorithm, attestation virtual.Attestation) *ceremony {
	t.Helper()
	key, err := virtual.New(virtual.Config{Attestation: attestation, Algorithms: []cose.Algorithm{alg}})
	require.NoError(t, err)
	defer key.Close()
	if root := key.AttestationRoot(); root != nil {
		trustEverywhere(root)
	}
	client := ctap2.Client{Transport: key}
	c := &ceremony{
		name: fmt.Sprintf("virtual key %v attestation %d", alg, attestation), alg: alg,
		createChallenge: random(t, 32), getChallenge: random(t, 32),
	}
	c.registration.ClientDataJSON = (&webauthn.ClientData{
		Type: webauthn.TypeCreate, Challenge: c.createChallenge, Origin: origin,
	}).JSON()
	hash := webauthn.ClientDataHash(c.registration.ClientDataJSON)
	made, err := client.MakeCredential(t.Context(), &ctap2.MakeCredentialRequest{
		ClientDataHash:   hash[:],
		RP:               ctap2.RelyingParty{ID: rpID},
		User:             ctap2.User{ID: []byte("user"), Name: "user"},
		PubKeyCredParams: []ctap2.CredentialParameter{{Algorithm: alg, Type: ctap2.PublicKeyType}},
	})
	require.NoError(t, err)
	c.format = made.Format
	c.registration.AttestationObject, err = (&webauthn.AttestationObject{
		Format: made.Format, Statement: made.AttStmt, AuthData: made.AuthData,
	}).Marshal()
	require.NoError(t, err)
	data, err := webauthn.ParseAuthenticatorData(made.AuthData)
	require.NoError(t, err)
	c.registration.RawID = data.Credential.ID

	c.assertion.RawID = data.Credential.ID
	c.assertion.ClientDataJSON = (&webauthn.ClientData{
		Type: webauthn.TypeGet, Challenge: c.getChallenge, Origin: origin,
	}).JSON()
	hash = webauthn.ClientDataHash(c.assertion.ClientDataJSON)
	got, err := client.GetAssertion(t.Context(), &ctap2.GetAssertionRequest{
		RPID:           rpID,
		ClientDataHash: hash[:],
		AllowList:      []ctap2.CredentialDescriptor{{ID: data.Credential.ID, Type: ctap2.PublicKeyType}},
	})
	require.NoError(t, err)
	c.assertion.AuthenticatorData, c.assertion.Signature = got.AuthData, got.Signature
	return c
}
