package hid_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/virtual"
)

// Open a software key that another program serves at a Unix socket, and ping it.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "keyfob")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "key.sock")
	defer serve(socket)()

	device, err := hid.Open("unix:" + socket) // or the Path of what List returns
	if err != nil {
		log.Fatal(err)
	}
	channel, err := ctaphid.Open(context.Background(), device)
	if err != nil {
		log.Fatal(err)
	}
	defer channel.Close()
	fmt.Println(device.Info().Bus, channel.DeviceInfo().ProtocolVersion)
	fmt.Println(channel.Ping(context.Background(), []byte("hello")))

	// Output:
	// unix 2
	// <nil>
}

// serve stands for the other program, and returns what ends it.
func serve(socket string) func() {
	key, err := virtual.New(virtual.Config{})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		key.ServeUnix(ctx, socket, func() { close(ready) })
	}()
	<-ready
	return func() {
		cancel()
		<-done
		key.Close()
	}
}
