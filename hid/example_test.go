package hid_test

import (
	"context"
	"fmt"
	"log"

	"github.com/keyfob-go/keyfob/hid"
)

func Example() {
	keys, err := hid.List()
	if err != nil {
		log.Fatal(err)
	}
	for _, key := range keys {
		if key.Err != nil {
			fmt.Println(key, "can't be used:", key.Err)
			continue
		}
		d, err := hid.Open(key.Path)
		if err != nil {
			log.Fatal(err)
		}
		defer d.Close()
		in, out := d.ReportSizes()
		fmt.Printf("%v takes reports of %d bytes and sends reports of %d bytes\n", key, out, in)
	}
}

// List the keys that are plugged in. Those that can't be used say why.
func ExampleList() {
	keys, err := hid.List()
	if err != nil {
		log.Fatal(err)
	}
	for _, key := range keys {
		fmt.Printf("%s: %s %s (%04x:%04x)\n", key.Path, key.Manufacturer, key.Product, key.VendorID, key.ProductID)
		if key.Err != nil {
			fmt.Println("  ", key.Err)
		}
	}
}

// Wait for a key that can be opened: there may be none yet, or its udev rule may not have been applied yet.
func ExampleWatch() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	keys, events, err := hid.Watch(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, key := range keys {
		fmt.Println("there is", key)
	}
	for e := range events {
		if e.Kind != hid.Removed && e.Info.Err == nil {
			fmt.Println("ready:", e.Info)
			break
		}
	}
}
