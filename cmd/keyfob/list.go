package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/keyfob-go/keyfob/hid"
)

func listCommand(inv *invocation) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the keys that are plugged in.",
		Args:  cobra.NoArgs,
		RunE: inv.run(func(context.Context) (output, error) {
			keys, err := inv.list()
			if err != nil {
				return nil, listFailure(err)
			}
			if len(keys) == 0 {
				fmt.Fprintf(inv.stderr, "keyfob: there is no key\nhint: %s\n", noKeyHint)
			}
			return keyTable(keys), nil
		}),
	}
}

// keyTable shows keys, also those that cannot be opened, with the reason.
func keyTable(keys []hid.Info) table {
	t := table{columns: []column{
		wholeMember("PATH", "path"),
		{head: "ID", cell: usbID, whole: true},
		member("BUS", "bus"),
		{head: "NAME", cell: modelName},
	}}
	for _, key := range keys {
		t.rows = append(t.rows, record{
			{"path", key.Path},
			{"bus", key.Bus.String()},
			{"vendorId", key.VendorID},
			{"productId", key.ProductID},
			{"manufacturer", key.Manufacturer},
			{"product", key.Product},
			{"serial", key.Serial},
			{"error", problem(key)},
		})
		if key.Err != nil && len(t.columns) == 4 {
			t.columns = append(t.columns, column{head: "ERROR", cell: cellOrNothing("error"), whole: true})
		}
	}
	return t
}

func usbID(r record) string { return fmt.Sprintf("%04x:%04x", r.get("vendorId"), r.get("productId")) }

func modelName(r record) string {
	name := hid.Info{Manufacturer: r.get("manufacturer").(string), Product: r.get("product").(string)}
	return show(name)
}

func problem(key hid.Info) any {
	if key.Err == nil {
		return nil
	}
	return key.Err.Error()
}
