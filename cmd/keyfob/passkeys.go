package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
)

func passkeysCommand(inv *invocation) *cobra.Command {
	return family("passkeys", "See and change the passkeys that a key stores.",
		passkeysListCommand(inv), passkeysShowCommand(inv), passkeysRenameCommand(inv), passkeysDeleteCommand(inv))
}

func passkeysListCommand(inv *invocation) *cobra.Command {
	var rp string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the passkeys that a key stores.",
		Args:  cobra.NoArgs,
		RunE: inv.withKey(func(ctx context.Context, key *authenticator.Authenticator) (output, error) {
			return inv.listPasskeys(ctx, key, rp)
		}),
	}
	inv.forPIN(cmd)
	cmd.Flags().StringVar(&rp, "rp", "", "only those of the relying party `ID`, a domain name")
	return cmd
}

func (inv *invocation) listPasskeys(ctx context.Context, key *authenticator.Authenticator, rp string) (output, error) {
	list, err := key.Credentials(ctx)
	if err != nil {
		return nil, err
	}
	all := passkeysOf(list)
	columns := append(passkeyColumns(idLength(all)), member("NAME", "userDisplayName"))
	if rp != "" {
		all = slices.DeleteFunc(all, func(p passkey) bool { return p.rp.RPIDHash != sha256.Sum256([]byte(rp)) })
	}
	inv.display.say("%s; the key has room for %s", count(len(all), "passkey"), upTo(list.Remaining))
	return listing{
		about: record{{"existing", list.Existing}, {"remaining", list.Remaining}},
		name:  "passkeys",
		table: passkeyTable(columns, all),
	}, nil
}

// upTo is how many more there can be at most: the next one may be larger than others.
func upTo(n int) string {
	if n == 0 {
		return "no more"
	}
	return fmt.Sprintf("%d more", n)
}

// count returns "1 passkey" or "2 passkeys".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func passkeyTable(columns []column, all []passkey) table {
	t := table{columns: columns}
	for _, p := range all {
		t.rows = append(t.rows, p.record())
	}
	return t
}

// passkeyColumns are those by which people know a passkey, with as much of its ID as it takes.
func passkeyColumns(idLength int) []column {
	return []column{
		{head: "SITE", once: true, cell: func(r record) string {
			return siteText(r.get("rpId").(string), r.get("rpIdTruncated").(bool))
		}},
		{head: "ID", whole: true, cell: func(r record) string { return r.get("credentialId").(binary).begin(idLength) }},
		member("USER", "userName"),
	}
}

func passkeysShowCommand(inv *invocation) *cobra.Command {
	var meant string
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show all that a key tells of a passkey.",
		RunE: inv.withKey(func(ctx context.Context, key *authenticator.Authenticator) (output, error) {
			p, err := findPasskey(ctx, key, meant)
			if err != nil {
				return nil, err
			}
			return p.record(), nil
		}),
	}
	wantsID(cmd, &meant, cobra.ExactArgs(1))
	inv.forPIN(cmd)
	return cmd
}

// renaming is what the command line of "passkeys rename" says.
type renaming struct {
	meant             string
	name, displayName string
	flags             *pflag.FlagSet
}

func passkeysRenameCommand(inv *invocation) *cobra.Command {
	r := &renaming{}
	cmd := &cobra.Command{
		Use:     "rename ID",
		Short:   "Change the names of the account in a passkey.",
		PreRunE: func(*cobra.Command, []string) error { return r.check() },
		RunE: inv.withKey(func(ctx context.Context, key *authenticator.Authenticator) (output, error) {
			return r.perform(ctx, inv, key)
		}),
	}
	wantsID(cmd, &r.meant, cobra.ExactArgs(1))
	inv.forPIN(cmd)
	r.flags = cmd.Flags()
	r.flags.StringVar(&r.name, "name", "", "call the account `NAME`; empty removes the name")
	r.flags.StringVar(&r.displayName, "display-name", "", "call the user `NAME`; empty removes the name")
	return cmd
}

func (r *renaming) check() error {
	if !r.flags.Changed("name") && !r.flags.Changed("display-name") {
		return usageError("--name or --display-name is wanted")
	}
	return nil
}

func (r *renaming) perform(ctx context.Context, inv *invocation, key *authenticator.Authenticator) (output, error) {
	p, err := findPasskey(ctx, key, r.meant)
	if err != nil {
		return nil, err
	}
	if err := key.UpdateUser(ctx, p.ID, r.user(p.User)); err != nil {
		return nil, err
	}
	return inv.done("The passkey is renamed.")
}

// user is the account with its new names. The old ones may have been cut within a character, which no key takes.
func (r *renaming) user(u ctap2.User) ctap2.User {
	u.Name, u.DisplayName = strings.ToValidUTF8(u.Name, ""), strings.ToValidUTF8(u.DisplayName, "")
	if r.flags.Changed("name") {
		u.Name = r.name
	}
	if r.flags.Changed("display-name") {
		u.DisplayName = r.displayName
	}
	return u
}

func passkeysDeleteCommand(inv *invocation) *cobra.Command {
	var meant []string
	cmd := &cobra.Command{
		Use:   "delete ID...",
		Short: "Delete passkeys.",
		RunE: inv.withKey(func(ctx context.Context, key *authenticator.Authenticator) (output, error) {
			return inv.deletePasskeys(ctx, key, meant)
		}),
	}
	wantsIDs(cmd, &meant)
	inv.forPIN(cmd)
	inv.forDestruction(cmd)
	return cmd
}

// deletePasskeys deletes all that are meant, or none if one of them is not there.
func (inv *invocation) deletePasskeys(
	ctx context.Context, key *authenticator.Authenticator, meant []string,
) (output, error) {
	all, err := readPasskeys(ctx, key)
	if err != nil {
		return nil, err
	}
	doomed, err := pickPasskeys(all, meant)
	if err != nil {
		return nil, err
	}
	if err := inv.confirm(ctx, lossOf(doomed, inv.nameOf(key.Key())), "nothing was deleted"); err != nil {
		return nil, err
	}
	for _, p := range doomed {
		if err := key.DeleteCredential(ctx, p.ID); err != nil {
			return nil, fmt.Errorf("%v: %w", p, err)
		}
		inv.display.say("Deleted %v.", p)
	}
	if slices.ContainsFunc(doomed, passkey.mayHaveBlob) {
		inv.display.say(`"keyfob blobs gc" deletes the large blobs that belonged to it.`)
	}
	return record{}, nil
}

// pickPasskeys returns each passkey that is meant once.
func pickPasskeys(all []passkey, meant []string) (picked []passkey, err error) {
	seen := map[string]bool{}
	for _, id := range meant {
		p, err := pickPasskey(all, id)
		if err != nil {
			return nil, err
		}
		if !seen[string(p.ID)] {
			picked = append(picked, p)
		}
		seen[string(p.ID)] = true
	}
	return picked, nil
}

func lossOf(doomed []passkey, key string) string {
	const consequence = "Who has no other way to sign in there is locked out."
	if len(doomed) == 1 {
		return fmt.Sprintf("This deletes the passkey of %v from %s, for ever.\n%s", doomed[0], key, consequence)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "This deletes %d passkeys from %s, for ever:\n", len(doomed), key)
	for _, p := range doomed {
		fmt.Fprintf(&b, "  %v\n", p)
	}
	return b.String() + consequence
}
