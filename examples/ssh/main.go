// Ssh makes and uses SSH keys that live on a security key, as ssh-keygen -t ed25519-sk and ssh-agent do, in pure Go:
//
//	go run . enrol -f id_ecdsa_sk                   # makes id_ecdsa_sk and id_ecdsa_sk.pub
//	go run . sign -f id_ecdsa_sk -n file < letter   # for ssh-keygen -Y verify
//	go run . agent -a /tmp/agent.sock id_ecdsa_sk   # for SSH_AUTH_SOCK=/tmp/agent.sock ssh HOST
//	go run . list                                   # the resident keys
//	go run . download                               # the same to files, as ssh-keygen -K
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/cose"
	"github.com/keyfob-go/keyfob/hid"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "ssh:", err)
		os.Exit(1)
	}
}

// commands define their flags and return what they do.
var commands = map[string]func(*flag.FlagSet) action{
	"enrol":    defineEnrol,
	"sign":     defineSign,
	"agent":    defineAgent,
	"list":     func(*flag.FlagSet) action { return listResidents },
	"download": defineDownload,
}

type action func(ctx context.Context, client *authenticator.Client, args []string) error

var errUsage = errors.New("usage: ssh enrol|sign|agent|list|download [FLAGS]; -h after a command tells its flags")

func run(ctx context.Context, args []string) error {
	if len(args) == 0 || commands[args[0]] == nil {
		return errUsage
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	device := flags.String("device", "", "use only the security key at `PATH`: a node, or unix:SOCKET")
	act := commands[args[0]](flags)
	if err := flags.Parse(args[1:]); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	client := &authenticator.Client{UI: ui}
	if *device != "" {
		client = only(client, hid.Info{Path: *device})
	}
	return act(ctx, client, flags.Args())
}

var algorithms = map[string]cose.Algorithm{"ecdsa-sk": cose.ES256, "ed25519-sk": cose.EdDSA}

func defineEnrol(f *flag.FlagSet) action {
	kind := f.String("t", "ecdsa-sk", "`TYPE`: ecdsa-sk, or ed25519-sk, which not every security key has")
	path := f.String("f", "id_sk", "write the key to `FILE` and FILE.pub")
	comment := f.String("C", "", "`COMMENT` of the key")
	application := f.String("application", "ssh:", "`ssh:NAME` tells resident keys apart")
	user := f.String("user", "", "`NAME` tells resident keys of one application apart")
	store := f.Bool("resident", false, "store the key on the security key, to be found by list and download")
	verify := f.Bool("verify-required", false, "want the PIN, or a fingerprint, for every signature")
	replace := f.Bool("replace", false, "replace a resident key of the same application and user")
	silent := f.Bool("no-touch-required", false, "sign without a touch; servers refuse that unless they are told")
	return func(ctx context.Context, client *authenticator.Client, _ []string) error {
		e := enrolment{
			algorithm: algorithms[*kind], application: *application, user: *user, replace: *replace, flags: touchRequired,
		}
		if e.algorithm == 0 || !strings.HasPrefix(e.application, scheme) || len(e.user) > 32 {
			return errors.New("wrong -t, -application or -user")
		}
		if *silent {
			e.flags = 0
		}
		if *verify {
			e.flags |= verifyRequired
		}
		if *store {
			e.flags |= resident
		}
		if err := requireFree(*path); err != nil {
			return err
		}
		asking, forget := once(client.UI) // it has two questions to the security key
		defer forget()
		client.UI = asking
		k, err := enrol(ctx, client, e)
		if err != nil {
			return err
		}
		if *comment != "" {
			k.comment = *comment
		}
		if err := k.write(*path); err != nil {
			return err
		}
		_, err = os.Stdout.Write(k.authorized())
		return err
	}
}

func defineSign(f *flag.FlagSet) action {
	path := f.String("f", "id_sk", "private key `FILE`")
	namespace := f.String("n", "file", "`NAMESPACE`: what the signature is for, such as file, git or email")
	return func(ctx context.Context, client *authenticator.Client, _ []string) error {
		k, err := readKey(*path)
		if err != nil {
			return err
		}
		sig, err := signMessage(&signer{ctx, client, k}, *namespace, os.Stdin)
		if err != nil {
			return err
		}
		_, err = os.Stdout.Write(sig)
		return err
	}
}

func defineAgent(f *flag.FlagSet) action {
	socket := f.String("a", "agent.sock", "listen at `SOCKET`, which must not exist")
	load := f.Bool("resident", false, "serve the security key's resident keys too, which takes its PIN")
	return func(ctx context.Context, client *authenticator.Client, files []string) error {
		var keys []*key
		for _, file := range files {
			k, err := readKey(file)
			if err != nil {
				return err
			}
			keys = append(keys, k)
		}
		if *load {
			all, err := residents(ctx, client)
			if err != nil {
				return err
			}
			for _, r := range all {
				keys = append(keys, r.key)
			}
		}
		return listen(ctx, newDesk(client, keys), *socket)
	}
}

// listen serves the agent, until it is interrupted, to the owner of the socket and nobody else.
func listen(ctx context.Context, d *desk, socket string) error {
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		return errors.Join(err, l.Close())
	}
	fmt.Printf("SSH_AUTH_SOCK=%s; export SSH_AUTH_SOCK;\n", socket)
	if err := d.serve(ctx, l); ctx.Err() == nil {
		return err
	}
	return nil
}

func listResidents(ctx context.Context, client *authenticator.Client, _ []string) error {
	all, err := residents(ctx, client)
	for _, r := range all {
		os.Stdout.Write(r.authorized())
	}
	return err
}

func defineDownload(f *flag.FlagSet) action {
	dir := f.String("d", ".", "write the keys into `DIR`")
	return func(ctx context.Context, client *authenticator.Client, _ []string) error {
		all, err := residents(ctx, client)
		if err != nil {
			return err
		}
		var errs []error
		for _, r := range all {
			path := filepath.Join(*dir, r.fileName())
			if err := r.write(path); err != nil {
				errs = append(errs, err) // which keeps nobody from the other keys
				continue
			}
			fmt.Println(path)
		}
		return errors.Join(errs...)
	}
}
