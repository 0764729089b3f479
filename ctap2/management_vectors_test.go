package ctap2

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What the vectors' exchanges are about.
const (
	vectorTemplate     = "d63a9fee"
	vectorCredential   = "0e6c4daef6b4e353fa7234ea4805b8f58ade5d0694c06e3c0f787dc822e5a17a"
	vectorCredential2  = "abf3278e35687093c288948af6409206d099c3e06e8990f2c7738a36b73b247f"
	vectorUser         = "092dd7c2ec239a79"
	vectorLargeBlobKey = "cd2cd28ff74252a17c9389b68b16cd363fea0ba55472934d6cd7fa064751f6d6"
)

func (v *vectors) replayCredentialManagement(t *testing.T, name string, e exchange) {
	ctx := t.Context()
	m := CredentialManagement{Client: v.client(t, e), Token: v.token(t, e.PINUVAuthProtocol)}
	id := CredentialDescriptor{ID: unhex(t, vectorCredential), Type: PublicKeyType}
	jane := User{ID: unhex(t, vectorUser), Name: "j.doe", DisplayName: "J. Doe"}
	switch name {
	case "getCredsMetadata":
		existing, remaining, err := m.Metadata(ctx)
		require.NoError(t, err)
		require.Equal(t, []uint64{2, 23}, []uint64{existing, remaining})
	case "enumerateRPs":
		first, err := m.EnumerateRPsBegin(ctx)
		require.NoError(t, err)
		require.Equal(t, &RelyingParty{ID: "example.org"}, first.RP)
		require.Equal(t, rpIDHash("example.org"), [32]byte(first.RPIDHash))
		require.EqualValues(t, 2, *first.TotalRPs)
		second, err := m.EnumerateRPsNext(ctx)
		require.NoError(t, err)
		require.Equal(t, &RelyingParty{ID: "example.com", Name: "Example Inc"}, second.RP)
		require.Equal(t, rpIDHash("example.com"), [32]byte(second.RPIDHash))
	case "enumerateCredentials":
		first, err := m.EnumerateCredentialsBegin(ctx, rpIDHash("example.org"))
		require.NoError(t, err)
		require.Equal(t, &jane, first.User)
		require.Equal(t, &id, first.CredentialID)
		require.Contains(t, hex.EncodeToString(first.PublicKey), "af80cc2227ca85957ad66b5210c7024ad1e31b5fb358398c7c44adf19ebff08b")
		require.EqualValues(t, 2, *first.TotalCredentials)
		require.EqualValues(t, CredProtectUVRequired, first.CredProtect)
		require.Equal(t, vectorLargeBlobKey, hex.EncodeToString(first.LargeBlobKey))
		second, err := m.EnumerateCredentialsNext(ctx)
		require.NoError(t, err)
		require.Equal(t, vectorCredential2, hex.EncodeToString(second.CredentialID.ID))
		require.EqualValues(t, CredProtectUVOptional, second.CredProtect)
		require.Nil(t, second.LargeBlobKey)
		require.False(t, second.ThirdPartyPayment)
	case "deleteCredential":
		require.NoError(t, m.DeleteCredential(ctx, id))
	case "updateUserInformation":
		require.NoError(t, m.UpdateUser(ctx, id, jane))
	default:
		t.Fatal("no call for this exchange")
	}
}

func rpIDHash(id string) [32]byte { return sha256.Sum256([]byte(id)) }

func (v *vectors) replayBioEnrollment(t *testing.T, name string, e exchange) {
	ctx := t.Context()
	b := BioEnrollment{Client: v.client(t, e), Token: v.token(t, e.PINUVAuthProtocol)}
	modality, err := b.Modality(ctx)
	require.NoError(t, err)
	require.EqualValues(t, ModalityFingerprint, modality)
	template := unhex(t, vectorTemplate)
	switch name {
	case "getSensorInfo":
		info, err := b.SensorInfo(ctx)
		require.NoError(t, err)
		require.Equal(t, &SensorInfo{Kind: SensorTouch, MaxCaptureSamples: 5, MaxTemplateFriendlyName: 32}, info)
	case "enroll":
		id, sample, err := b.EnrollBegin(ctx, 10*time.Second)
		require.NoError(t, err)
		require.Equal(t, template, id)
		require.Equal(t, Sample{Status: SampleGood, Remaining: 1}, sample)
		sample, err = b.EnrollNext(ctx, id, 10*time.Second)
		require.NoError(t, err)
		require.Equal(t, Sample{Status: SampleGood}, sample)
	case "cancel":
		require.NoError(t, b.CancelEnrollment(ctx))
	case "enumerate":
		fingers, err := b.Enrollments(ctx)
		require.NoError(t, err)
		require.Equal(t, []TemplateInfo{{ID: template, FriendlyName: "thumb"}, {ID: unhex(t, "8ffee6e3")}}, fingers)
	case "setFriendlyName":
		require.NoError(t, b.SetFriendlyName(ctx, template, "index"))
	case "remove":
		require.NoError(t, b.RemoveEnrollment(ctx, template))
	default:
		t.Fatal("no call for this exchange")
	}
}

func (v *vectors) replayConfig(t *testing.T, name string, e exchange) {
	ctx := t.Context()
	c := AuthenticatorConfig{Client: v.client(t, e), Token: v.token(t, e.PINUVAuthProtocol)}
	switch name {
	case "enableEnterpriseAttestation":
		require.NoError(t, c.EnableEnterpriseAttestation(ctx))
	case "toggleAlwaysUv":
		require.NoError(t, c.ToggleAlwaysUV(ctx))
	case "setMinPINLength":
		params := SetMinPINLengthParams{
			NewMinPINLength: 8, RPIDs: []string{"example.org", "example.com"}, ForceChangePIN: true,
		}
		require.NoError(t, c.SetMinPINLength(ctx, params))
	case "enableLongTouchForReset":
		require.NoError(t, c.EnableLongTouchForReset(ctx))
	default:
		t.Fatal("no call for this exchange")
	}
}

func (v *vectors) replayLargeBlobs(t *testing.T, name string, e exchange) {
	const fragment = 1024 - 64
	ctx, c, array := t.Context(), v.client(t, e), unhex(t, v.LargeBlob.SerializedArray)
	require.Greater(t, len(array), fragment)
	length := uint32(len(array))
	switch name {
	case "write (2 fragments, maxMsgSize 1024)":
		token := v.token(t, e.PINUVAuthProtocol)
		require.NoError(t, c.SetLargeBlobs(ctx, token, 0, length, array[:fragment]))
		require.NoError(t, c.SetLargeBlobs(ctx, token, fragment, length, array[fragment:]))
	case "read (2 fragments, maxMsgSize 1024)":
		first, err := c.GetLargeBlobs(ctx, 0, fragment)
		require.NoError(t, err)
		second, err := c.GetLargeBlobs(ctx, fragment, fragment)
		require.NoError(t, err)
		require.Equal(t, array, append(first, second...))
	default:
		t.Fatal("no call for this exchange")
	}
}

func TestEncryptedInfoVectors(t *testing.T) {
	t.Parallel()
	v := loadVectors(t).EncInfo
	token, err := NewToken(PINProtocol2, unhex(t, v.PersistentPINUVAuthToken))
	require.NoError(t, err)
	require.Equal(t, v.PersistentPINUVAuthToken, hex.EncodeToString(token.Secret()))
	info := Info{EncIdentifier: unhex(t, v.EncIdentifier), EncCredStoreState: unhex(t, v.EncCredStoreState)}
	identifier, err := info.Identifier(token)
	require.NoError(t, err)
	require.Equal(t, v.DeviceIdentifier, hex.EncodeToString(identifier[:]))
	state, err := info.CredStoreState(token)
	require.NoError(t, err)
	require.Equal(t, v.CredStoreState, hex.EncodeToString(state[:]))
	for _, size := range []int{0, 16, 31, 33, 48} {
		info = Info{EncIdentifier: make([]byte, size), EncCredStoreState: make([]byte, size)}
		_, err = info.Identifier(token)
		require.ErrorIs(t, err, ErrInvalidResponse)
		_, err = info.CredStoreState(token)
		require.ErrorIs(t, err, ErrInvalidResponse)
	}
}
