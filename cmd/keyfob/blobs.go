package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
)

func blobsCommand(inv *invocation) *cobra.Command {
	return family("blobs", "See and change the large blobs that a key stores for its passkeys.",
		blobsListCommand(inv), blobsGetCommand(inv), blobsSetCommand(inv), blobsDeleteCommand(inv), blobsCollectCommand(inv))
}

func blobsListCommand(inv *invocation) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the large blobs of passkeys, and show how much room there is.",
		Args:  cobra.NoArgs,
		RunE: inv.withKey(func(ctx context.Context, key *authenticator.Authenticator) (output, error) {
			s, err := readBlobs(ctx, key, false)
			if err != nil {
				return nil, err
			}
			return inv.listBlobs(s)
		}),
	}
	inv.forPIN(cmd)
	return cmd
}

func (inv *invocation) listBlobs(s *blobStore) (output, error) {
	abandoned, err := s.abandoned()
	if err != nil {
		return nil, err
	}
	t := s.table()
	used := len(s.Marshal())
	inv.display.say("%s; %s", count(len(t.rows), "large blob"), s.usage(used))
	if abandoned > 0 {
		inv.display.say("%s of passkeys that are gone: \"keyfob blobs gc\" deletes them", count(abandoned, "blob"))
	}
	return listing{
		about: record{
			{"used", used},
			{"room", nonzero(s.room)},
			{"abandoned", abandoned},
			{"foreign", max(0, s.Len()-abandoned-len(t.rows))},
		},
		name:  "blobs",
		table: t,
	}, nil
}

func (s *blobStore) usage(used int) string {
	if s.room == 0 {
		return fmt.Sprintf("%d bytes used", used)
	}
	return fmt.Sprintf("%d of %d bytes used, %d free", used, s.room, max(0, s.room-used))
}

func (s *blobStore) table() table {
	t := table{columns: append(passkeyColumns(idLength(s.passkeys)), member("SIZE", "size"))}
	for _, p := range s.passkeys {
		if !p.mayHaveBlob() {
			continue
		}
		blob, found, err := s.Get(p.LargeBlobKey)
		if found || err != nil {
			t.rows = append(t.rows, blobRecord(p, blob, err))
		}
	}
	return t
}

func blobRecord(p passkey, blob []byte, err error) record {
	r := record{
		{"credentialId", p.identity()},
		{"rpId", p.rp.RP.ID},
		{"rpIdTruncated", p.rp.Truncated},
		{"userName", nonzero(p.User.Name)},
		{"size", len(blob)},
		{"error", nil},
	}
	if err != nil {
		r[4].value, r[5].value = nil, err.Error()
	}
	return r
}

// blobOutput is a blob: for people as it is, if nothing else was asked for.
type blobOutput struct {
	passkey
	blob []byte
}

// MarshalJSON implements [json.Marshaler].
func (o blobOutput) MarshalJSON() ([]byte, error) {
	return record{{"credentialId", o.identity()}, {"blob", binary(o.blob)}}.MarshalJSON()
}

func (o blobOutput) text(p *page) { p.Write(o.blob) }

// getting is what the command line of "blobs get" says.
type getting struct {
	*invocation
	meant, file string
}

func blobsGetCommand(inv *invocation) *cobra.Command {
	g := &getting{invocation: inv}
	cmd := &cobra.Command{
		Use:   "get ID",
		Short: "Write the large blob of a passkey to standard output.",
		RunE:  inv.withKey(g.perform),
	}
	wantsID(cmd, &g.meant, cobra.ExactArgs(1))
	inv.forPIN(cmd)
	cmd.Flags().StringVarP(&g.file, "output", "o", "", "write it to `FILE` instead")
	return cmd
}

func (g *getting) perform(ctx context.Context, key *authenticator.Authenticator) (output, error) {
	s, err := readBlobs(ctx, key, false)
	if err != nil {
		return nil, err
	}
	p, err := s.find(g.meant)
	if err != nil {
		return nil, err
	}
	blob, err := s.blobOf(p)
	if err != nil {
		return nil, err
	}
	switch {
	case g.file != "":
		return g.save(blob)
	case !g.json && terminalWidth(g.stdout) > 0 && !isText(blob):
		return nil, failuref(exitUsage, "use -o FILE, or --json", "the large blob is no text that a terminal can show")
	}
	return blobOutput{p, blob}, nil
}

func (g *getting) save(blob []byte) (output, error) {
	if err := os.WriteFile(g.file, blob, 0o600); err != nil {
		return nil, failuref(exitError, "check -o", "%w", err)
	}
	return g.done(fmt.Sprintf("%s written to %s.", count(len(blob), "byte"), printable(g.file)))
}

// isText finds out whether a terminal can show a blob without obeying it.
func isText(blob []byte) bool {
	return utf8.Valid(blob) && !strings.ContainsFunc(string(blob), func(r rune) bool {
		return !unicode.IsPrint(r) && r != '\n' && r != '\t'
	})
}

// setting is what the command line of "blobs set" says.
type setting struct {
	*invocation
	meant, file string
}

func blobsSetCommand(inv *invocation) *cobra.Command {
	set := &setting{invocation: inv}
	cmd := &cobra.Command{
		Use:   "set ID FILE",
		Short: "Store a file, or for - standard input, as the large blob of a passkey.",
		PreRunE: func(_ *cobra.Command, args []string) error {
			set.file = args[1]
			return nil
		},
		RunE: inv.run(set.perform),
	}
	wantsID(cmd, &set.meant, cobra.ExactArgs(2))
	cmd.ValidArgsFunction = nil // the second is a file
	inv.forPIN(cmd)
	return cmd
}

// perform reads the file before it does anything to a key.
func (set *setting) perform(ctx context.Context) (output, error) {
	blob, err := set.read(ctx)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, failuref(exitError, "check FILE", "%w", err)
	}
	key, err := set.open(ctx)
	if err != nil {
		return nil, err
	}
	defer key.Close()
	return set.store(ctx, key, blob)
}

func (set *setting) read(ctx context.Context) ([]byte, error) {
	in := set.stdin
	if set.file != "-" {
		f, err := os.Open(set.file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	blob, err := await(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(in, ctap2.MaxLargeBlob+1)) })
	if err == nil && len(blob) > ctap2.MaxLargeBlob {
		err = fmt.Errorf("%s has more than %d bytes", set.file, ctap2.MaxLargeBlob)
	}
	return blob, err
}

func (set *setting) store(ctx context.Context, key *authenticator.Authenticator, blob []byte) (output, error) {
	s, err := readBlobs(ctx, key, true)
	if err != nil {
		return nil, err
	}
	p, err := s.find(set.meant)
	if err != nil {
		return nil, err
	}
	used := len(s.Marshal())
	if err := s.Set(p.LargeBlobKey, blob); err != nil {
		return nil, err
	}
	if now := len(s.Marshal()); s.room > 0 && now > s.room {
		return nil, failuref(exitError, `make room with "keyfob blobs gc" or "keyfob blobs delete"`,
			"%w: it takes %d bytes more, and %d are free", ctap2.ErrLargeBlobStorageFull, now-used, max(0, s.room-used))
	}
	if err := key.SetLargeBlob(ctx, p.LargeBlobKey, blob); err != nil {
		return nil, err
	}
	return set.done(fmt.Sprintf("The large blob is stored; %s.", s.usage(len(s.Marshal()))))
}

// blobDeletion is what the command line of "blobs delete" says.
type blobDeletion struct {
	*invocation
	meant string
	all   bool
}

func blobsDeleteCommand(inv *invocation) *cobra.Command {
	d := &blobDeletion{invocation: inv}
	cmd := &cobra.Command{
		Use:   "delete ID | --all",
		Short: "Delete the large blob of a passkey, or all that a key stores.",
		RunE:  inv.withKey(d.perform),
	}
	inv.forPIN(cmd)
	inv.forDestruction(cmd)
	wantsID(cmd, &d.meant, d.check)
	cmd.Flags().BoolVar(&d.all, "all", false, "delete everything, also what is damaged, or stored by other programs")
	return cmd
}

func (d *blobDeletion) check(cmd *cobra.Command, args []string) error {
	if d.all == (len(args) > 0) {
		return usageError("either an ID or --all is wanted")
	}
	return cobra.MaximumNArgs(1)(cmd, args)
}

func (d *blobDeletion) perform(ctx context.Context, key *authenticator.Authenticator) (output, error) {
	if d.all {
		return d.deleteAll(ctx, key)
	}
	s, err := readBlobs(ctx, key, true)
	if err != nil {
		return nil, err
	}
	p, err := s.find(d.meant)
	if err != nil {
		return nil, err
	}
	blob, err := s.blobOf(p)
	if err != nil && !errors.Is(err, ctap2.ErrLargeBlob) { // one that does not inflate can go as well
		return nil, err
	}
	loss := fmt.Sprintf("This deletes the large blob (%s) of the passkey of %v from %s, for ever.",
		count(len(blob), "byte"), p, d.nameOf(key.Key()))
	if err := d.confirm(ctx, loss, "nothing was deleted"); err != nil {
		return nil, err
	}
	if err := key.DeleteLargeBlob(ctx, p.LargeBlobKey); err != nil {
		return nil, err
	}
	return d.done("The large blob is deleted.")
}

func (d *blobDeletion) deleteAll(ctx context.Context, key *authenticator.Authenticator) (output, error) {
	loss := fmt.Sprintf("This deletes all large blobs from %s, for ever, whoever stored them.", d.nameOf(key.Key()))
	if err := d.confirm(ctx, loss, "nothing was deleted"); err != nil {
		return nil, err
	}
	if err := key.EraseLargeBlobs(ctx); err != nil {
		return nil, err
	}
	return d.done("All large blobs are deleted.")
}

func blobsCollectCommand(inv *invocation) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Delete the large blobs whose passkeys are gone.",
		Args:  cobra.NoArgs,
		RunE:  inv.withKey(inv.collectBlobs),
	}
	inv.forPIN(cmd)
	inv.forDestruction(cmd)
	return cmd
}

func (inv *invocation) collectBlobs(ctx context.Context, key *authenticator.Authenticator) (output, error) {
	s, err := readBlobs(ctx, key, true)
	if err != nil {
		return nil, err
	}
	abandoned, err := s.abandoned()
	if err != nil {
		return nil, err
	}
	if abandoned == 0 {
		return record{{"removed", 0}}, nil
	}
	loss := fmt.Sprintf("This deletes %s of passkeys that are gone from %s, for ever.",
		count(abandoned, "large blob"), inv.nameOf(key.Key()))
	if err := inv.confirm(ctx, loss, "nothing was deleted"); err != nil {
		return nil, err
	}
	removed, err := key.CollectLargeBlobs(ctx)
	if err != nil {
		return nil, err
	}
	return record{{"removed", removed}}, nil
}
