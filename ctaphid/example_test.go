package ctaphid_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"

	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/virtual"
)

// Record what passes between a program and a key, and play it back without the key: a bug that somebody saw becomes a test.
func ExampleRecord() {
	ctx := context.Background()
	key, err := virtual.New(virtual.Config{})
	if err != nil {
		log.Fatal(err)
	}
	var recording bytes.Buffer
	printVersions(ctx, ctaphid.Record(key.Device(), &recording, nil)) // for a real key, of what hid.Open returns
	key.Close()

	transcript, err := ctaphid.ReadTranscript(&recording)
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range transcript.Messages() {
		fmt.Println(m.Command, m.FromDevice)
	}
	printVersions(ctx, transcript.Replay())

	// Output:
	// [U2F_V2 FIDO_2_0 FIDO_2_1]
	// INIT false
	// INIT true
	// CBOR false
	// CBOR true
	// [U2F_V2 FIDO_2_0 FIDO_2_1]
}

func printVersions(ctx context.Context, device io.ReadWriteCloser) {
	channel, err := ctaphid.Open(ctx, device)
	if err != nil {
		log.Fatal(err)
	}
	info, err := (&ctap2.Client{Transport: channel}).GetInfo(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(info.Versions)
	if err := channel.Close(); err != nil {
		log.Fatal(err)
	}
}
