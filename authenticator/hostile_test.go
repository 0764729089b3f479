package authenticator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/virtual"
	"github.com/keyfob-go/keyfob/webauthn"
)

// TestHostile plays every case: a key that does one thing wrong, at each place where it can. Whatever it does, each
// step ends in time, without a panic and with nothing left running; no PIN is sent twice; what is accepted is true;
// and when the key has come to its senses, the same Authenticator works.
//
// With -short, and with the race detector, it plays a sample.
func TestHostile(t *testing.T) {
	const (
		enough = 3000
		sample = 6
	)
	cases := hostileCases(t)
	if testing.Short() || raceEnabled {
		cases = every(sample, cases)
	}
	require.Greater(t, len(cases), enough)
	t.Run("cases", func(t *testing.T) {
		workers := runtime.GOMAXPROCS(0)
		for worker := range workers {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				for i := worker; i < len(cases); i += workers {
					if err := cases[i].run(t); err != nil {
						t.Error(err)
					}
				}
			})
		}
	})
	t.Logf("%d cases", len(cases))
}

// TestHostileAllocations plays a sample alone and counts what it allocates, the key and the user included.
func TestHostileAllocations(t *testing.T) {
	const (
		sample = 97
		limit  = 2 << 20 // bytes for one case: some 30 messages
	)
	most, which := uint64(0), ""
	var before, after runtime.MemStats
	for _, c := range every(sample, hostileCases(t)) {
		runtime.ReadMemStats(&before)
		require.NoError(t, c.run(t))
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > most {
			most, which = n, c.name
		}
	}
	require.Less(t, most, uint64(limit), which)
	t.Logf("at most %d bytes: %s", most, which)
}

// every returns every nth of the cases.
func every(n int, cases []hostileCase) (sample []hostileCase) {
	for i := 0; i < len(cases); i += n {
		sample = append(sample, cases[i])
	}
	return sample
}

// hostileCases returns all cases, those that are alike next to each other.
func hostileCases(t *testing.T) []hostileCase {
	t.Helper()
	cases := slices.Concat(
		wireCases(t, false), wireCases(t, true),
		refusalCases(t, false), refusalCases(t, true),
		statusCases(t), statusWordCases(t), absentCases(),
		cborCases(t), u2fCases(t),
	)
	slices.SortFunc(cases, func(a, b hostileCase) int { return strings.Compare(a.name, b.name) })
	return cases
}

// hostileCase is one key that does something wrong while somebody registers and signs in with it.
type hostileCase struct {
	name     string
	u2f      bool                  // it speaks U2F only
	faults   func() virtual.Faults // made anew for each run, since they may count
	touch    time.Duration         // what the user takes for a touch; 0 means some keepalives
	removed  bool                  // the key is gone afterwards
	harmless bool                  // nothing may fail
}

const (
	hostileDeadline = 20 * time.Second                   // of each step
	hostileGrace    = time.Second + 100*time.Millisecond // to cancel, resync, and let go
	hostileRP       = "example.org"                      // of all credentials
	hostileTouch    = 150 * time.Millisecond             // lets the key send a keepalive or two
	hostileVerified = ctap2.FlagUP | ctap2.FlagUV        // what answers with a PIN must say
	hostilePINLimit = 6                                  // answers to PIN prompts, until the user gives up
)

// run plays the case in a bubble of fake time and returns what went wrong, if anything did. A goroutine that is left
// behind panics there.
func (c hostileCase) run(t *testing.T) (problem error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { problem = c.play(t) })
	if problem != nil {
		problem = fmt.Errorf("%s: %w", c.name, problem)
	}
	return problem
}

func (c hostileCase) play(t *testing.T) error {
	v, err := newVictim(t, c)
	if err != nil {
		return err
	}
	defer v.close()
	v.ceremonies()
	v.good.Store(true)
	close(v.awake)
	v.patience = hostilePINLimit
	if c.removed {
		v.checkRemoved()
	} else {
		v.followUp()
	}
	if int(v.sent.Load()) > v.given {
		v.fail("%d PINs reached the key, the user gave %d", v.sent.Load(), v.given)
	}
	return errors.Join(v.problems...)
}

// victim is a program and its user, with what the test knows better than they do.
type victim struct {
	hostileCase
	t     *testing.T
	key   *virtual.Authenticator
	good  atomic.Bool   // the key does nothing wrong any more
	sent  atomic.Int32  // PINs that reached the key
	awake chan struct{} // closed when all is good: the user is quick then

	a        *Authenticator // nil when the key could not be opened
	given    int            // PINs
	patience int            // prompts until the user gives up
	known    map[string]*cose.Key
	secrets  map[string][][]byte // of assertions whose signature was right, by credential
	blobs    map[string][]byte   // what credentials were made with
	refused  int                 // results that the relying party would not have taken
	problems []error
}

func (v *victim) fail(format string, args ...any) {
	v.problems = append(v.problems, fmt.Errorf(format, args...))
}

func newVictim(t *testing.T, c hostileCase) (*victim, error) {
	v := &victim{
		hostileCase: c, t: t, patience: hostilePINLimit, awake: make(chan struct{}),
		known: map[string]*cose.Key{}, secrets: map[string][][]byte{}, blobs: map[string][]byte{},
	}
	config := virtual.Config{U2FOnly: c.u2f, Faults: v.watch(c.faults()), UserPresence: v.touches}
	if !c.u2f {
		config.Version = virtual.CTAP23
		config.Without = []string{"authnrCfg", "credMgmt", "thirdPartyPayment", "pinComplexityPolicy"} // which nobody uses
	}
	key, err := virtual.New(config)
	v.key = key
	return v, err
}

// touches is the user at the key. When all is good she comes soon, also if she was away for long.
func (v *victim) touches(ctx context.Context, _ virtual.Prompt) error {
	early, late := time.NewTimer(hostileTouch), time.NewTimer(v.touch)
	defer early.Stop()
	defer late.Stop()
	select {
	case <-early.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-late.C:
	case <-v.awake:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// watch counts the PINs that are sent, and ends the faults when the key is good.
func (v *victim) watch(f virtual.Faults) virtual.Faults {
	bad := f
	f.Answer = func(cmd ctaphid.Command, request []byte, run func() []byte) []byte {
		if isPINAttempt(cmd, request) {
			v.sent.Add(1)
		}
		if bad.Answer == nil || v.good.Load() {
			return run()
		}
		return bad.Answer(cmd, request, run)
	}
	f.Report = func(r *virtual.Report) {
		if bad.Report == nil || v.good.Load() {
			r.Send(r.Data)
			return
		}
		bad.Report(r)
	}
	f.Refuse = func(transaction int, cmd ctaphid.Command) ctaphid.Error {
		if bad.Refuse == nil || v.good.Load() {
			return 0
		}
		return bad.Refuse(transaction, cmd)
	}
	return f
}

// isPINAttempt says that the request is one that costs a retry if the PIN is wrong.
func isPINAttempt(cmd ctaphid.Command, request []byte) bool {
	if cmd != ctaphid.CommandCBOR || ctap2.Command(request[0]) != clientPIN {
		return false
	}
	switch subcommand(request) {
	case ctap2.SubcommandChangePIN, ctap2.SubcommandGetPINToken, ctap2.SubcommandGetPINTokenWithPermissions:
		return true
	}
	return false
}

// subcommand returns the subcommand of a clientPIN request: a canonical map that begins with member 1, if it has that
// one, and member 2, both of one byte.
func subcommand(request []byte) ctap2.Subcommand {
	if request[2] == 0x01 {
		return ctap2.Subcommand(request[5])
	}
	return ctap2.Subcommand(request[3])
}

func (v *victim) close() {
	if v.a != nil {
		v.a.Close()
	}
	v.key.Close()
}

// step does one thing with the key, which must end in time whatever the key does.
func (v *victim) step(name string, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), hostileDeadline)
	defer cancel()
	start := time.Now()
	err := do(ctx)
	if took := time.Since(start); took > hostileDeadline+hostileGrace {
		v.fail("%s took %v", name, took)
	}
	return err
}

func (v *victim) open() error {
	return v.step("open", func(ctx context.Context) error {
		channel, err := ctaphid.Open(ctx, v.key.Device())
		if err != nil {
			return err
		}
		v.a, err = New(ctx, channel, &UI{PIN: v.pin, NewPIN: v.newPIN, Notify: func(Event) {}})
		return err
	})
}

// pin is a user who mistypes once.
func (v *victim) pin(context.Context, *PINRequest) ([]byte, error) {
	if v.patience--; v.patience < 0 {
		return nil, errNoMoreAnswers
	}
	if v.given++; v.given == 1 {
		return []byte("0000"), nil
	}
	return []byte("1234"), nil
}

// newPIN is asked for by keys that say that they have no PIN, or want another.
func (v *victim) newPIN(context.Context, *NewPINRequest) ([]byte, error) {
	if v.patience--; v.patience < 0 {
		return nil, errNoMoreAnswers
	}
	v.given++ // it is also sent to the key, for a token
	return []byte("1234"), nil
}

// ceremonies does all that users do, each as if the one before had worked.
func (v *victim) ceremonies() {
	if err := v.open(); err != nil {
		if v.harmless {
			v.fail("what is harmless did harm: %w", err)
		}
		return
	}
	errs := []error{
		v.setPIN(),
		v.register("first", true),
		v.register("second", false),
		v.authenticate("all", nil, true),
		v.authenticate("one", slices.Collect(maps.Keys(v.known)), false),
	}
	for _, err := range errs {
		// A new channel knows nothing of the assertions that are left to fetch.
		if v.harmless && err != nil && !errors.Is(err, ctap2.ErrNotAllowed) {
			v.fail("what is harmless did harm: %w", err)
		}
	}
}

func (v *victim) setPIN() error {
	if v.u2f {
		return nil
	}
	return v.step("set PIN", func(ctx context.Context) error { return v.a.SetPIN(ctx, []byte("1234")) })
}

// register makes a credential and keeps its public key if the relying party would.
func (v *victim) register(user string, verify bool) error {
	opts := &CredentialOptions{
		ClientDataHash: hash(user),
		RP:             ctap2.RelyingParty{ID: hostileRP},
		User:           ctap2.User{ID: []byte(user), Name: user},
		ExcludeList:    [][]byte{hash("not there")},
	}
	if !v.u2f {
		opts.ResidentKey, opts.LargeBlobKey, opts.CredBlob = true, true, hash(user)
		opts.HMACSecretSalts = [][]byte{hash("salt"), hash("pepper")}
	}
	if verify && !v.u2f {
		opts.UserVerification = UVRequired
	}
	return v.step("register "+user, func(ctx context.Context) error {
		cred, err := v.a.MakeCredential(ctx, opts)
		if err == nil {
			err = v.checkCredential(cred, opts)
		}
		return err
	})
}

// checkCredential does what a relying party does. Its error says that it does not take the credential.
func (v *victim) checkCredential(cred *Credential, opts *CredentialOptions) error {
	v.checkAuthData(cred.AuthenticatorData, opts.UserVerification)
	if _, err := cred.Attestation.Verify(opts.ClientDataHash); err != nil {
		v.refused++
		return err
	}
	v.known[string(cred.ID)] = cred.PublicKey
	v.blobs[string(cred.ID)] = opts.CredBlob
	v.checkLargeBlobKey(cred.LargeBlobKey)
	v.checkSecrets(cred.AuthenticatorData.Flags, cred.ID, cred.HMACSecrets)
	return nil
}

// checkAuthData is about what the library itself must have refused.
func (v *victim) checkAuthData(data *ctap2.AuthenticatorData, uv UserVerification) {
	want := ctap2.FlagUP
	if uv == UVRequired {
		want = hostileVerified
	}
	if !bytes.Equal(data.RPIDHash[:], hash(hostileRP)) || !data.Flags.Has(want) {
		v.fail("took an answer for %x with flags %v", data.RPIDHash, data.Flags)
	}
}

// authenticate signs in, with the credentials of the list or with all on the key, and keeps their secrets.
func (v *victim) authenticate(challenge string, allow []string, verify bool) error {
	opts := &AssertionOptions{RPID: hostileRP, ClientDataHash: hash(challenge), AllowList: [][]byte{hash("not there")}}
	for _, id := range allow {
		opts.AllowList = append(opts.AllowList, []byte(id))
	}
	if !v.u2f {
		opts.HMACSecretSalts = [][]byte{hash("salt"), hash("pepper")}
		opts.CredBlob, opts.LargeBlobKey = true, true
	}
	if verify && !v.u2f {
		opts.UserVerification, opts.AllowList = UVRequired, nil
	}
	if v.u2f && allow == nil {
		return nil // there is no such thing
	}
	return v.step("authenticate with "+challenge, func(ctx context.Context) error {
		assertions, err := v.a.GetAssertions(ctx, opts)
		for _, a := range assertions {
			err = errors.Join(err, v.checkAssertion(a, opts))
		}
		return err
	})
}

func (v *victim) checkAssertion(a *Assertion, opts *AssertionOptions) error {
	v.checkAuthData(a.AuthenticatorData, opts.UserVerification)
	if len(a.HMACSecrets) != len(opts.HMACSecretSalts) {
		v.fail("%d secrets for %d salts", len(a.HMACSecrets), len(opts.HMACSecretSalts))
	}
	listed := slices.ContainsFunc(opts.AllowList, func(id []byte) bool { return bytes.Equal(id, a.CredentialID) })
	if len(opts.AllowList) > 0 && !listed {
		v.fail("took an assertion by a credential that was not allowed")
	}
	public, ok := v.known[string(a.CredentialID)]
	if !ok {
		v.refused++ // made by the key, but the answer did not come through; or a lie
		return nil
	}
	if err := webauthn.VerifySignature(public, a.AuthData, opts.ClientDataHash, a.Signature); err != nil {
		v.refused++
		return err
	}
	v.checkLargeBlobKey(a.LargeBlobKey)
	v.checkSecrets(a.AuthenticatorData.Flags, a.CredentialID, a.HMACSecrets)
	if !bytes.Equal(a.CredBlob, v.blobs[string(a.CredentialID)]) {
		v.fail("took a wrong credBlob")
	}
	return nil
}

// checkLargeBlobKey knows that nothing signs it.
func (v *victim) checkLargeBlobKey(key []byte) {
	if key != nil && len(key) != 32 {
		v.fail("took a largeBlobKey of %d bytes", len(key))
	}
}

// checkSecrets compares the secrets with those of the same credential that were taken before, also from the key when it was
// good. A verified user gets others.
func (v *victim) checkSecrets(flags ctap2.Flags, id []byte, secrets [][]byte) {
	name := fmt.Sprint(flags.Has(ctap2.FlagUV), id)
	if old, ok := v.secrets[name]; ok && !slices.EqualFunc(old, secrets, bytes.Equal) {
		v.fail("took a wrong secret")
	}
	v.secrets[name] = secrets
}

// checkRemoved is about a key that is gone.
func (v *victim) checkRemoved() {
	if v.a != nil && v.register("third", true) == nil {
		v.fail("a key that is gone still works")
	}
}

// followUp uses the same Authenticator with the key, which is good now. Only if the key could not be opened, or has
// lied about what it is, it is opened again.
func (v *victim) followUp() {
	if v.a == nil || !v.knowsTheKey() {
		if v.a != nil {
			v.a.Close()
		}
		if err := v.open(); err != nil {
			v.fail("open again: %w", err)
			return
		}
	}
	if set, _ := v.a.Info().Option("clientPin"); !set {
		v.must("set PIN", v.setPIN())
	}
	v.must("register", v.register("third", true))
	v.must("authenticate with all", v.authenticate("again", nil, true))
	v.must("authenticate with one", v.authenticate("once more", slices.Collect(maps.Keys(v.known)), false))
}

func (v *victim) must(what string, err error) {
	if err != nil {
		v.fail("afterwards, %s: %w", what, err)
	}
}

// knowsTheKey compares what the Authenticator believes with what the key says.
func (v *victim) knowsTheKey() bool {
	if v.u2f {
		return true
	}
	truth, err := (&ctap2.Client{Transport: v.key}).GetInfo(v.t.Context())
	if err != nil {
		v.fail("getInfo: %w", err)
		return false
	}
	believed := *v.a.Info()
	if !believed.Options["clientPin"] {
		truth.Options["clientPin"] = false // no lie: the answer to setPIN may have been lost
	}
	return reflect.DeepEqual(plain(truth), plain(&believed))
}

// plain leaves out what changes by itself.
func plain(info *ctap2.Info) ctap2.Info {
	p := *info
	p.RemainingDiscoverableCredentials = nil
	return p
}
