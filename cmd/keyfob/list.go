package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/keyfob-go/keyfob/hid"
)

func defineList(f *flags) action {
	f.forOutput()
	return func(_ context.Context, inv *invocation) (output, error) {
		keys, err := inv.list()
		if err != nil {
			return nil, listFailure(err)
		}
		if len(keys) == 0 {
			fmt.Fprintf(inv.stderr, "keyfob: there is no key\nhint: %s\n", noKeyHint)
		}
		return keyList(keys), nil
	}
}

// keyList shows keys, also those that cannot be opened, with the reason.
type keyList []hid.Info

// MarshalJSON implements [json.Marshaler].
func (l keyList) MarshalJSON() ([]byte, error) {
	records := make([]record, len(l))
	for i, key := range l {
		records[i] = record{
			{"path", key.Path},
			{"bus", key.Bus.String()},
			{"vendorId", key.VendorID},
			{"productId", key.ProductID},
			{"manufacturer", key.Manufacturer},
			{"product", key.Product},
			{"serial", key.Serial},
			{"error", problem(key)},
		}
	}
	return json.Marshal(records)
}

func problem(key hid.Info) any {
	if key.Err == nil {
		return nil
	}
	return key.Err.Error()
}

func (l keyList) text(w io.Writer) {
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, key := range l {
		name := key
		name.Path = "" // has its own column
		fmt.Fprintf(columns, "%s\t%04x:%04x\t%s\t%s", printable(key.Path), key.VendorID, key.ProductID, key.Bus, show(name))
		if key.Err != nil {
			fmt.Fprintf(columns, "\t%s", printable(key.Err.Error()))
		}
		fmt.Fprintln(columns)
	}
	columns.Flush()
}
