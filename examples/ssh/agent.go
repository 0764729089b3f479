package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/keyfob-go/keyfob/authenticator"
)

// desk is where all connections to the agent wait for the user, one after the other: two ceremonies at a time would
// disturb each other.
type desk struct {
	client *authenticator.Client
	keys   []*key
	turn   chan struct{} // of capacity 1; full while somebody waits for a touch
}

func newDesk(client *authenticator.Client, keys []*key) *desk {
	return &desk{client, keys, make(chan struct{}, 1)}
}

// serve is an agent at a listener until ctx is done, and closes it.
func (d *desk) serve(ctx context.Context, l net.Listener) error {
	var connections sync.WaitGroup
	defer connections.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(ctx, func() { l.Close() })
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		connections.Go(func() { d.answer(ctx, conn) })
	}
}

// answer serves a connection. It reads ahead, so that a client that goes away takes its question with it: the security key
// stops blinking.
func (d *desk) answer(ctx context.Context, conn net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(ctx, func() { conn.Close() })
	requests, ahead := io.Pipe()
	go func() {
		defer cancel()
		_, err := io.Copy(ahead, conn)
		ahead.CloseWithError(err)
	}()
	defer requests.Close()
	agent.ServeAgent(&visit{desk: d, ctx: ctx}, struct {
		io.Reader
		io.Writer
	}{requests, conn})
}

// visit is the agent as one connection sees it: an agent.Agent of fixed keys.
type visit struct {
	*desk
	ctx context.Context // done when the client is gone
}

var errFixed = errors.New("the agent has the keys that it was started with")

// List names the keys.
func (v *visit) List() ([]*agent.Key, error) {
	var list []*agent.Key
	for _, k := range v.keys {
		list = append(list, &agent.Key{Format: k.ssh.Type(), Blob: k.ssh.Marshal(), Comment: k.comment})
	}
	return list, nil
}

// Signers is for programs that have the agent in them.
func (v *visit) Signers() ([]ssh.Signer, error) {
	var list []ssh.Signer
	for _, k := range v.keys {
		list = append(list, &signer{v.ctx, v.client, k})
	}
	return list, nil
}

// Sign waits for its turn and the touch.
func (v *visit) Sign(wanted ssh.PublicKey, data []byte) (*ssh.Signature, error) {
	for _, k := range v.keys {
		if bytes.Equal(k.ssh.Marshal(), wanted.Marshal()) {
			return v.sign(k, data)
		}
	}
	return nil, errors.New("the agent has no such key")
}

func (v *visit) sign(k *key, data []byte) (*ssh.Signature, error) {
	select {
	case v.turn <- struct{}{}:
		defer func() { <-v.turn }()
		return k.sign(v.ctx, v.client, data)
	case <-v.ctx.Done():
		return nil, context.Cause(v.ctx)
	}
}

// The agent can be neither changed nor locked.

func (v *visit) Add(agent.AddedKey) error   { return errFixed }
func (v *visit) Remove(ssh.PublicKey) error { return errFixed }
func (v *visit) RemoveAll() error           { return errFixed }
func (v *visit) Lock([]byte) error          { return errFixed }
func (v *visit) Unlock([]byte) error        { return errFixed }
