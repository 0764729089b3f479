package virtual_test

import (
	"context"
	"fmt"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctap2"
	"github.com/keyfob-go/keyfob/virtual"
)

// A test of a program that selects a key, whose user refuses to touch it.
func Example() {
	key, err := virtual.New(virtual.Config{
		UserPresence: func(_ context.Context, p virtual.Prompt) error {
			fmt.Println("refused to touch the key for", p.Command)
			return ctap2.ErrOperationDenied
		},
	})
	if err != nil {
		panic(err)
	}
	defer key.Close()

	a, err := authenticator.New(context.Background(), key, nil)
	if err != nil {
		panic(err)
	}
	defer a.Close()
	err = a.Selection(context.Background())
	fmt.Println(authenticator.KindOf(err))

	// Output:
	// refused to touch the key for selection
	// cancelled
}

// A test plugs keys in and pulls them, as package hid would tell it.
func ExampleHub() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	key, err := virtual.New(virtual.Config{})
	if err != nil {
		panic(err)
	}
	defer key.Close()

	var hub virtual.Hub
	hub.Plug(key)
	present, events, err := hub.Watch(ctx) // in a program: hid.Watch(ctx)
	if err != nil {
		panic(err)
	}
	for _, info := range present {
		fmt.Println("there is", info)
	}
	hub.Unplug(key)
	e := <-events
	fmt.Println(e.Kind, e.Info)
	fmt.Println("plugged in again:", hub.Plug(key))
	e = <-events
	fmt.Println(e.Kind, e.Info)

	// Output:
	// there is keyfob virtual key 1 (virtual:1)
	// removed keyfob virtual key 1 (virtual:1)
	// plugged in again: keyfob virtual key 2 (virtual:2)
	// added keyfob virtual key 2 (virtual:2)
}

// A test enrols a finger, one of whose samples is no good.
func ExampleSample() {
	ctx := context.Background()
	samples := []virtual.Sample{
		{Finger: "thumb"},
		{Finger: "thumb", Status: ctap2.SampleTooFast},
		{Finger: "thumb"},
	}
	config := virtual.PresetBiometric.Config()
	config.EnrollSamples = 2
	config.PIN.Initial = []byte("1234")
	config.Finger = func(context.Context, virtual.Prompt) (virtual.Sample, error) {
		next := samples[0]
		samples = samples[1:]
		return next, nil
	}
	key, err := virtual.New(config)
	if err != nil {
		panic(err)
	}
	defer key.Close()

	client := &ctap2.Client{Transport: key}
	secret, err := client.KeyAgreement(ctx, ctap2.PINProtocol2)
	if err != nil {
		panic(err)
	}
	token, err := client.PINTokenWithPermissions(ctx, secret, []byte("1234"), ctap2.PermissionBioEnrollment, "")
	if err != nil {
		panic(err)
	}
	bio := &ctap2.BioEnrollment{Client: client, Token: token}
	id, sample, err := bio.EnrollBegin(ctx, 0)
	for err == nil && sample.Remaining > 0 {
		fmt.Printf("%v, %d left\n", sample.Status, sample.Remaining)
		sample, err = bio.EnrollNext(ctx, id, 0)
	}
	fmt.Println(sample.Status, err)

	// Output:
	// good, 1 left
	// too fast, 1 left
	// good <nil>
}

func ExamplePreset() {
	for _, preset := range virtual.Presets() {
		key, err := virtual.New(preset.Config())
		if err != nil {
			panic(err)
		}
		info, err := (&ctap2.Client{Transport: key}).GetInfo(context.Background())
		if err != nil {
			fmt.Println(preset, "speaks U2F only")
		} else {
			fmt.Println(preset, info.Versions)
		}
		key.Close()
	}

	// Output:
	// u2f speaks U2F only
	// 2.0 [U2F_V2 FIDO_2_0]
	// 2.0-pin [U2F_V2 FIDO_2_0]
	// 2.1-pre [U2F_V2 FIDO_2_0 FIDO_2_1_PRE]
	// 2.1 [U2F_V2 FIDO_2_0 FIDO_2_1_PRE FIDO_2_1]
	// 2.1-always-uv [FIDO_2_0 FIDO_2_1_PRE FIDO_2_1]
	// biometric [U2F_V2 FIDO_2_0 FIDO_2_1_PRE FIDO_2_1]
	// 2.3 [U2F_V2 FIDO_2_0 FIDO_2_1 FIDO_2_3]
}
