package hid_test

import (
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
