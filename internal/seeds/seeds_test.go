package seeds

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap1"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/virtual"
	"github.com/keyfob-go/keyfob/webauthn"
)

var update = flag.Bool("update", false, "make the seeds anew")

// folders are those that fuzz targets ask for.
var folders = []string{
	"responses", "reports", "init-replies", "authenticator-data", "cose-keys", "attestation-objects", "descriptors",
	"u2f-registrations", "u2f-assertions", "ceremonies",
}

func TestEachFolderHasSeeds(t *testing.T) {
	if *update {
		makeSeeds(t)
	}
	for _, folder := range folders {
		entries, err := os.ReadDir(filepath.Join(root(t), "testdata", "seeds", folder))
		require.NoError(t, err)
		require.NotEmpty(t, entries, folder)
	}
}

func write(t *testing.T, folder, name string, seed []byte) {
	path := filepath.Join(root(t), "testdata", "seeds", folder)
	require.NoError(t, os.MkdirAll(path, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(path, name), seed, 0o644))
}

func makeSeeds(t *testing.T) {
	require.NoError(t, os.RemoveAll(filepath.Join(root(t), "testdata", "seeds")))
	writeResponses(t)
	writeReports(t)
	writeCredentials(t)
	writeU2F(t)
	writeCeremonies(t)
	for name, descriptor := range map[string]string{
		"common": "06d0f10901a1010920150026ff007508954081020921150026ff00750895409102c0",
		"keyboard-and-numbered": "05010906a101850175019508050719e029e7150025018102c0" +
			"06d0f10901a101850275089540092015002600ff81020921150026ff009102c0",
	} {
		b, err := hex.DecodeString(descriptor)
		require.NoError(t, err)
		write(t, "descriptors", name, b)
	}
}

// writeResponses takes the responses of the golden exchanges.
func writeResponses(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root(t), "testdata", "ctap.json"))
	require.NoError(t, err)
	var vectors struct {
		Exchanges []struct{ Messages []struct{ Response string } }
	}
	require.NoError(t, json.Unmarshal(b, &vectors))
	seen := map[string]bool{"": true}
	for _, exchange := range vectors.Exchanges {
		for _, m := range exchange.Messages {
			if !seen[m.Response] {
				seen[m.Response] = true
				response, err := hex.DecodeString(m.Response)
				require.NoError(t, err)
				write(t, "responses", fmt.Sprintf("%02d", len(seen)-1), response)
			}
		}
	}
}

// tap keeps what a key sends.
type tap struct {
	*virtual.Device
	sent []byte
}

func (d *tap) Read(p []byte) (int, error) {
	n, err := d.Device.Read(p)
	d.sent = append(d.sent, p[:n]...)
	return n, err
}

func writeReports(t *testing.T) {
	key, err := virtual.New(virtual.Config{})
	require.NoError(t, err)
	defer key.Close()
	d := &tap{Device: key.Device()}
	channel, err := ctaphid.Open(t.Context(), d)
	require.NoError(t, err)
	write(t, "init-replies", "virtual", d.sent[7:24])
	client := ctap2.Client{Transport: channel}
	_, err = client.GetInfo(t.Context())
	require.NoError(t, err)
	require.NoError(t, channel.Ping(t.Context(), make([]byte, 300)))
	_, err = channel.Vendor(t.Context(), 0x41, nil)
	require.Error(t, err)
	require.NoError(t, channel.Close())
	write(t, "reports", "init-getinfo-ping-error", d.sent)
	write(t, "reports", "getinfo", d.sent[64:])
	write(t, "reports", "error", d.sent[len(d.sent)-64:])
}

func writeCredentials(t *testing.T) {
	for name, c := range map[string]virtual.Config{
		"none-es256":        {Attestation: virtual.AttestationNone},
		"self-eddsa":        {Algorithms: []cose.Algorithm{cose.EdDSA}},
		"self-es384":        {Algorithms: []cose.Algorithm{cose.ES384}},
		"basic-rs256":       {Attestation: virtual.AttestationBasic, Algorithms: []cose.Algorithm{cose.RS256}},
		"fido-u2f":          {Attestation: virtual.AttestationFIDOU2F},
		"tpm":               {Attestation: virtual.AttestationTPM},
		"android-key":       {Attestation: virtual.AttestationAndroidKey},
		"apple":             {Attestation: virtual.AttestationApple},
		"android-safetynet": {Attestation: virtual.AttestationSafetyNet},
		"compound":          {Attestation: virtual.AttestationCompound},
	} {
		key, err := virtual.New(c)
		require.NoError(t, err)
		defer key.Close()
		client := ctap2.Client{Transport: key}
		params := []ctap2.CredentialParameter{}
		for _, algorithm := range []cose.Algorithm{cose.ES256, cose.ES384, cose.EdDSA, cose.RS256} {
			params = append(params, ctap2.CredentialParameter{Algorithm: algorithm, Type: ctap2.PublicKeyType})
		}
		resp, err := client.MakeCredential(t.Context(), &ctap2.MakeCredentialRequest{
			ClientDataHash: make([]byte, 32), RP: ctap2.RelyingParty{ID: "example.org"}, User: ctap2.User{ID: []byte{1}},
			PubKeyCredParams: params,
			Extensions:       ctap2.MakeCredentialExtensions{HMACSecret: true, CredProtect: 2},
		})
		require.NoError(t, err)
		object, err := (&webauthn.AttestationObject{Format: resp.Format, Statement: resp.AttStmt, AuthData: resp.AuthData}).Marshal()
		require.NoError(t, err)
		data, err := ctap2.ParseAuthenticatorData(resp.AuthData)
		require.NoError(t, err)
		write(t, "attestation-objects", name, object)
		write(t, "authenticator-data", name, resp.AuthData)
		write(t, "cose-keys", name, data.Credential.RawPublicKey)
	}
}

func writeU2F(t *testing.T) {
	key, err := virtual.New(virtual.Config{})
	require.NoError(t, err)
	defer key.Close()
	last := &lastAnswer{key: key}
	client := ctap1.Client{Transport: last}
	var challenge, application [32]byte
	reg, err := client.Register(t.Context(), challenge, application)
	require.NoError(t, err)
	write(t, "u2f-registrations", "virtual", last.answer[:len(last.answer)-2])
	_, err = client.Authenticate(t.Context(), ctap1.EnforceUserPresence, challenge, application, reg.KeyHandle)
	require.NoError(t, err)
	write(t, "u2f-assertions", "virtual", last.answer[:len(last.answer)-2])
}

type lastAnswer struct {
	key    *virtual.Authenticator
	answer []byte
}

func (l *lastAnswer) Msg(ctx context.Context, apdu []byte) (_ []byte, err error) {
	l.answer, err = l.key.Msg(ctx, apdu)
	return l.answer, err
}

// script makes of a key's answers the input of the target that plays ceremonies: each behind its length in two bytes.
type script struct {
	key    *virtual.Authenticator
	script []byte
}

func (s *script) CBOR(ctx context.Context, request []byte, keepalive func(byte)) ([]byte, error) {
	answer, err := s.key.CBOR(ctx, request, keepalive)
	if err == nil {
		s.script = binary.BigEndian.AppendUint16(s.script, uint16(len(answer)))
		s.script = append(s.script, answer...)
	}
	return answer, err
}

func writeCeremonies(t *testing.T) {
	for name, c := range map[string]virtual.Config{
		"pin":         {},
		"fingerprint": {UserVerification: func(context.Context, virtual.Prompt) error { return nil }},
		"basic":       {Attestation: virtual.AttestationBasic},
	} {
		key, err := virtual.New(c)
		require.NoError(t, err)
		defer key.Close()
		s := &script{key: key}
		a, err := authenticator.New(t.Context(), s, &authenticator.UI{
			PIN: func(context.Context, *authenticator.PINRequest) ([]byte, error) { return []byte("1234"), nil },
		})
		require.NoError(t, err)
		defer a.Close()
		require.NoError(t, a.SetPIN(t.Context(), []byte("1234")))
		_, err = a.MakeCredential(t.Context(), &authenticator.CredentialOptions{
			ClientDataHash: make([]byte, 32), RP: ctap2.RelyingParty{ID: "example.org"}, User: ctap2.User{ID: []byte{1}},
			UserVerification: authenticator.UVPreferred, HMACSecret: true, ResidentKey: true,
		})
		require.NoError(t, err)
		_, err = a.GetAssertions(t.Context(), &authenticator.AssertionOptions{
			RPID: "example.org", ClientDataHash: make([]byte, 32), HMACSecretSalts: [][]byte{make([]byte, 32)},
		})
		require.NoError(t, err)
		write(t, "ceremonies", name, s.script)
	}
}
