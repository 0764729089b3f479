// Manage shows the security keys that are plugged in, and manages them: passkeys, fingerprints, PIN, settings, reset.
//
// With -virtual it shows two software keys instead, which touch themselves and whose PIN is 1234.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/keyfob-go/keyfob/examples/manage/model"
	"github.com/keyfob-go/keyfob/examples/manage/tui"
)

func main() {
	software := flag.Bool("virtual", false, "show software keys, to look around")
	flag.Parse()
	if err := run(context.Background(), *software); err != nil {
		fmt.Fprintln(os.Stderr, "manage:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, software bool) error {
	source := model.Source{} // the keys of the system
	if software {
		hub, err := demo(ctx)
		if err != nil {
			return err
		}
		source = model.Source{Watch: hub.Watch, Open: hub.Open}
	}
	return tui.Run(ctx, model.New(source))
}
