package main

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/keyfob-go/keyfob/virtual"
)

func TestFileRoundTrip(t *testing.T) {
	t.Parallel()
	u := newPerson(t, virtual.Config{})
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			k := u.enrol(t, kind.algorithm, touchRequired|verifyRequired)
			for comment := range 9 { // of all lengths of padding
				k.comment = strings.Repeat("c", comment)
				again, err := parseKey(k.marshal())
				require.NoError(t, err)
				require.Equal(t, k, again)
			}
		})
	}
}

// The public key is one that x/crypto reads back from authorized_keys.
func TestWriteKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	k := newPerson(t, virtual.Config{}).enrol(t, kinds[0].algorithm, touchRequired)
	k.comment = "ada"
	path := filepath.Join(t.TempDir(), "id")
	require.NoError(t, k.write(path))
	line, err := os.ReadFile(path + ".pub")
	require.NoError(t, err)
	public, comment, _, _, err := ssh.ParseAuthorizedKey(line)
	require.NoError(t, err)
	require.Equal(t, k.ssh, public)
	require.Equal(t, "ada", comment)
	require.ErrorIs(t, k.write(path), os.ErrExist)
	again, err := readKey(path)
	require.NoError(t, err)
	require.Equal(t, k, again)
}

func TestWriteLeavesNoHalf(t *testing.T) {
	t.Parallel()
	k := newPerson(t, virtual.Config{}).enrol(t, kinds[0].algorithm, touchRequired)
	path := filepath.Join(t.TempDir(), "id")
	require.NoError(t, requireFree(path))
	require.NoError(t, os.WriteFile(path+".pub", nil, 0o600))
	require.ErrorIs(t, requireFree(path), os.ErrExist)
	require.ErrorIs(t, k.write(path), os.ErrExist)
	require.NoFileExists(t, path)
	require.ErrorIs(t, requireFree(filepath.Join(path, "id")), os.ErrNotExist)
}

// What a security key says becomes neither another line of authorized_keys nor a path.
func TestNamesFromTheSecurityKeyAreHarmless(t *testing.T) {
	t.Parallel()
	k := newPerson(t, virtual.Config{}).enrol(t, kinds[0].algorithm, touchRequired)
	k.comment = "ada's\nssh-rsa AAAA\x1b[2J\u202e"
	require.Equal(t, strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(k.ssh)), "\n")+" ada's_ssh-rsa AAAA_[2J_\n",
		string(k.authorized()))

	for _, c := range []struct{ application, user, want string }{
		{"ssh:", "", "id_ecdsa_sk_rk"},
		{"ssh:", "ada\x00\x00", "id_ecdsa_sk_rk_ada"},
		{"ssh:work", "", "id_ecdsa_sk_rk_work"},
		{"ssh://work", "", "id_ecdsa_sk_rk_work"},
		{"ssh:../../x", "a/b\\c:d\n\xff", "id_ecdsa_sk_rk_.._.._x_a_b_c_d__"},
	} {
		k.application = c.application
		require.Equal(t, c.want, stored{k, []byte(c.user)}.fileName())
	}
}

// The files are ssh-keygen's of OpenSSH 9.2: -t ecdsa-sk or ed25519-sk -C ada, on a key of package virtual.
func TestParseKeyReadsKeygenFiles(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]string{"id_ecdsa_sk": ssh.KeyAlgoSKECDSA256, "id_ed25519_sk": ssh.KeyAlgoSKED25519} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, err := readKey(filepath.Join("testdata", name))
			require.NoError(t, err)
			require.Equal(t, kind, k.ssh.Type())
			require.Equal(t, "ssh:", k.application)
			require.Equal(t, "ada", k.comment)
			require.EqualValues(t, touchRequired, k.flags)
			require.NotEmpty(t, k.handle)
		})
	}
}

func TestParseKeyRefuses(t *testing.T) {
	t.Parallel()
	k := newPerson(t, virtual.Config{}).enrol(t, kinds[1].algorithm, touchRequired)
	other := newPerson(t, virtual.Config{}).enrol(t, kinds[1].algorithm, touchRequired)
	for _, c := range []struct {
		name   string
		change func(*fileWire)
		want   string
	}{
		{"a passphrase", func(f *fileWire) { f.Cipher, f.KDF = "aes256-ctr", "bcrypt" }, "passphrase"},
		{"two keys", func(f *fileWire) { f.Keys = 2 }, "2 keys"},
		{"no key of a security key", func(f *fileWire) { f.Public = newHostKey(t).PublicKey().Marshal() }, "no key of a security key"},
		{"another's public key", func(f *fileWire) { f.Public = other.ssh.Marshal() }, "does not fit"},
		{"different check numbers", func(f *fileWire) { f.Private[0] ^= 1 }, "does not fit"},
		{"wrong padding", func(f *fileWire) { f.Private = append(f.Private, 1, 2, 3, 4, 5, 6, 7, 9) }, "padding"},
		{"nothing private", func(f *fileWire) { f.Private = nil }, "ssh:"},
		{"a cut private key", func(f *fileWire) { f.Private = f.Private[:len(f.Private)-16] }, "ssh:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := parseKey(changed(t, k.marshal(), c.change))
			require.ErrorContains(t, err, c.want)
		})
	}
	web, err := newKey(k.public, "example.org", k.flags, k.handle)
	require.NoError(t, err)
	_, err = parseKey(web.marshal())
	require.ErrorContains(t, err, "not of SSH")
	_, err = parseKey([]byte("no PEM"))
	require.Error(t, err)
	_, err = parseKey(pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: []byte("openssh-key-v2\x00")}))
	require.ErrorContains(t, err, "version")
}

// changed returns a private key file with something changed in it.
func changed(t *testing.T, text []byte, change func(*fileWire)) []byte {
	t.Helper()
	b, _ := pem.Decode(text)
	var file fileWire
	require.NoError(t, ssh.Unmarshal(b.Bytes[len(magic):], &file))
	change(&file)
	b.Bytes = append([]byte(magic), ssh.Marshal(file)...)
	return pem.EncodeToMemory(b)
}

// FuzzParseKey writes what it could read, and reads the same again.
func FuzzParseKey(f *testing.F) {
	for _, name := range []string{"testdata/id_ecdsa_sk", "testdata/id_ed25519_sk"} {
		text, err := os.ReadFile(name)
		require.NoError(f, err)
		b, _ := pem.Decode(text)
		f.Add(b.Bytes)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := parseKey(pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: data}))
		if err != nil {
			return
		}
		again, err := parseKey(k.marshal())
		require.NoError(t, err)
		require.Equal(t, k, again)
	})
}
