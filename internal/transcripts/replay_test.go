package transcripts

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
)

const folder = "../../testdata/transcripts"

// forEach runs a test in a time of its own for each transcript there is.
func forEach(t *testing.T, test func(*testing.T, *ctaphid.Transcript)) {
	files, err := filepath.Glob(filepath.Join(folder, "*.txt"))
	require.NoError(t, err)
	require.NotEmpty(t, files, "no transcripts in %s", folder)
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			file, err := os.Open(path)
			require.NoError(t, err)
			defer file.Close()
			transcript, err := ctaphid.ReadTranscript(file)
			require.NoError(t, err)
			synctest.Test(t, func(t *testing.T) { test(t, transcript) })
		})
	}
}

// Each recorded request gets the recorded answer from package ctaphid, and package ctap2 can read it.
func TestMessages(t *testing.T) {
	forEach(t, func(t *testing.T, transcript *ctaphid.Transcript) {
		p := newPlayer(t, transcript)
		channel := p.open()
		p.each(func(ctx context.Context, i int) {
			answer, err := send(ctx, channel, p.exchanges[i])
			last := p.exchanges[p.next()-1] // of the repetitions
			switch {
			case last.Command == ctaphid.CommandCancel:
				require.ErrorIs(t, err, context.DeadlineExceeded)
			case last.answer == nil, last.answer.Command == ctaphid.CommandError:
				require.Error(t, err)
			default:
				require.NoError(t, err)
				require.Equal(t, last.answer.Data, answer)
				requireReadable(t, last)
			}
		})
		require.NoError(t, channel.Close())
	})
}

func send(ctx context.Context, channel *ctaphid.Channel, e *exchange) ([]byte, error) {
	switch e.Command {
	case ctaphid.CommandCBOR:
		return channel.CBOR(ctx, e.Data, nil)
	case ctaphid.CommandMsg:
		return channel.Msg(ctx, e.Data)
	case ctaphid.CommandPing:
		return e.Data, channel.Ping(ctx, e.Data)
	case ctaphid.CommandWink:
		return []byte{}, channel.Wink(ctx)
	}
	return channel.Vendor(ctx, e.Command, e.Data)
}

// canned is a transport that has one answer.
type canned []byte

func (c canned) CBOR(context.Context, []byte, func(byte)) ([]byte, error) { return c, nil }

// requireReadable decodes the answer of an exchange.
func requireReadable(t *testing.T, e *exchange) {
	t.Helper()
	status, ok := e.status()
	if !ok {
		return
	}
	err := read(t.Context(), &ctap2.Client{Transport: canned(e.answer.Data)}, e)
	if status != 0 {
		require.ErrorIs(t, err, status)
	} else {
		require.NoError(t, err)
	}
}

func read(ctx context.Context, c *ctap2.Client, e *exchange) (err error) {
	var authData []byte
	switch e.command() {
	case ctap2.CommandGetInfo:
		_, err = c.GetInfo(ctx)
	case ctap2.CommandMakeCredential:
		var resp *ctap2.MakeCredentialResponse
		if resp, err = c.MakeCredential(ctx, &ctap2.MakeCredentialRequest{}); err == nil {
			authData = resp.AuthData
		}
	case ctap2.CommandGetAssertion, ctap2.CommandGetNextAssertion:
		var resp *ctap2.GetAssertionResponse
		if resp, err = c.GetNextAssertion(ctx); err == nil {
			authData = resp.AuthData
		}
	case ctap2.CommandClientPIN:
		err = readClientPIN(ctx, c, e.subcommand())
	default:
		err = c.Selection(ctx) // which reads the status only
	}
	if err == nil && authData != nil {
		_, err = ctap2.ParseAuthenticatorData(authData)
	}
	return err
}

func readClientPIN(ctx context.Context, c *ctap2.Client, subcommand ctap2.Subcommand) (err error) {
	switch subcommand {
	case ctap2.SubcommandGetPINRetries:
		_, _, err = c.PINRetries(ctx, ctap2.PINProtocol1)
	case ctap2.SubcommandGetUVRetries:
		_, err = c.UVRetries(ctx, ctap2.PINProtocol1)
	case ctap2.SubcommandGetKeyAgreement:
		_, err = c.KeyAgreement(ctx, ctap2.PINProtocol1)
	default:
		err = c.Selection(ctx) // the rest is encrypted, so that only its status can be read here
	}
	return err
}

// Package authenticator does what was done, by the same messages, and it ends in the same way.
func TestCeremonies(t *testing.T) {
	forEach(t, func(t *testing.T, transcript *ctaphid.Transcript) {
		p := newPlayer(t, transcript)
		a, err := authenticator.New(t.Context(), p.open(), p.ui())
		require.NoError(t, err)
		known := true
		p.each(func(ctx context.Context, i int) {
			main := p.main(i)
			if known {
				err, known = p.operation(ctx, a, main)
			}
			if !known {
				p.device.sent.Store(int64(len(p.exchanges))) // to end
				return
			}
			p.check(i, main, err)
		})
		err = a.Close()
		if !known {
			t.Skip("nobody has taught the player what this is about")
		}
		require.NoError(t, err)
	})
}
