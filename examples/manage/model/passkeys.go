package model

import (
	"context"
	"fmt"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
)

// ReadPasskeys reads which passkeys are on the key.
func (d *Desk) ReadPasskeys() {
	d.manage(task{name: "Reading the passkeys", run: d.readPasskeys})
}

func (d *Desk) readPasskeys(ctx context.Context) error {
	stored, err := d.key.Credentials(ctx)
	if err != nil {
		return err
	}
	var all []Passkey
	for _, site := range stored.RelyingParties {
		for _, c := range site.Credentials {
			all = append(all, passkey(site, c))
		}
	}
	d.updateOpen(func(o *Open) { o.Passkeys, o.PasskeysRead, o.PasskeyRoom = all, true, stored.Remaining })
	return nil
}

func passkey(site authenticator.ResidentRP, c authenticator.ResidentCredential) Passkey {
	p := Passkey{
		ID: c.ID, Site: clean(site.RP.ID), Account: clean(c.User.Name), DisplayName: clean(c.User.DisplayName),
		Protected: c.CredProtect >= ctap2.CredProtectUVRequired, user: c.User, Algorithm: "unknown",
	}
	if site.Truncated {
		p.Site += "…"
	}
	if c.PublicKey != nil {
		p.Algorithm = c.PublicKey.Algorithm.String()
	}
	return p
}

// DeletePasskey deletes a passkey, if the user confirms it.
func (d *Desk) DeletePasskey(p Passkey) {
	name := fmt.Sprintf("%s at %s", p.Name(), p.Site)
	d.manage(task{name: "Deleting a passkey", done: "Deleted: " + name + ".", run: func(ctx context.Context) error {
		err := d.confirm(ctx, "Delete the passkey of "+name+"?",
			"You will no longer be able to sign in there with it. This cannot be undone.", "Delete")
		if err != nil {
			return err
		}
		if err := d.key.DeleteCredential(ctx, p.ID); err != nil {
			return err
		}
		return d.readPasskeys(ctx)
	}})
}

// RenamePasskey asks for other names of the account and writes them to the key. The site does not hear of it.
func (d *Desk) RenamePasskey(p Passkey) {
	d.manage(task{name: "Renaming a passkey", done: "Renamed.", run: func(ctx context.Context) error {
		user := p.user
		var err error
		if user.Name, err = d.askText(ctx, Question{Title: "Account name at " + p.Site, Initial: p.Account}); err != nil {
			return err
		}
		if user.DisplayName, err = d.askText(ctx, Question{Title: "Name to show", Initial: p.DisplayName}); err != nil {
			return err
		}
		if err := d.key.UpdateUser(ctx, p.ID, user); err != nil {
			return err
		}
		return d.readPasskeys(ctx)
	}})
}
