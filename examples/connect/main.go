// Connect lets a user through to TCP services behind a server, after a touch of a security key.
//
//	connect register NAME                  register a key under a name of your own
//	connect list                           show your keys
//	connect delete NAME                    delete one
//	connect forward TARGET                 connect standard input and output to a target
//	connect forward --listen ADDR TARGET   connect those who connect to ADDR
//	connect ssh TARGET [ARG...]            ssh to a target
//
// Results and connections are on standard output. All talk is on standard error, and the PIN is asked for on the terminal.
// The exit status is that of ssh, or 1, or what keyfob advises for a ceremony that failed: 3 without a key, 5 without a
// touch, 6 if it was cancelled, 7 where the PIN cannot be asked for or is not set, 8 and 9 for a wrong or blocked PIN, 10
// for a key that is not registered, or is already.
//
// The environment says who calls whom: CONNECT_SERVER is the server's URL, CONNECT_TOKEN what the server's administrator
// gave the user. If there is CONNECT_DEVICE, only the key at that path is used: /dev/hidraw3, or unix:SOCKET.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/examples/connect/internal/api"
	"github.com/keyfob-go/keyfob/webauthn"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p := &program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	err := p.run(ctx, os.Args[1:])
	stop()
	os.Exit(p.report(err))
}

// A program is one run of the command.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	server         *api.Client
	key            *toucher
}

var errUsage = errors.New("usage: connect register NAME | list | delete NAME | forward [--listen ADDR] TARGET | ssh TARGET [ARG...]")

func (p *program) run(ctx context.Context, args []string) error {
	if err := p.configure(); err != nil {
		return err
	}
	switch {
	case len(args) == 2 && args[0] == "register":
		return p.register(ctx, args[1])
	case len(args) == 1 && args[0] == "list":
		return p.list(ctx)
	case len(args) == 2 && args[0] == "delete":
		return p.server.DeleteKey(ctx, args[1])
	case len(args) == 2 && args[0] == "forward":
		return p.pipe(ctx, args[1])
	case len(args) == 4 && args[0] == "forward" && args[1] == "--listen":
		return p.listen(ctx, args[2], args[3])
	case len(args) >= 2 && args[0] == "ssh":
		return p.ssh(ctx, args[1], args[2:])
	}
	return errUsage
}

// configure takes everything from the environment, which ssh passes on to the program's second self.
func (p *program) configure() error {
	server := strings.TrimSuffix(os.Getenv("CONNECT_SERVER"), "/")
	token := os.Getenv("CONNECT_TOKEN")
	if server == "" || token == "" {
		return errors.New("CONNECT_SERVER and CONNECT_TOKEN must be set")
	}
	if _, err := webauthn.CanonicalOrigin(server); err != nil { // before the token passes in the clear
		return fmt.Errorf("CONNECT_SERVER: %w", err)
	}
	p.server = &api.Client{Server: server, Token: token}
	p.key = newToucher(server, p.stderr)
	if path := os.Getenv("CONNECT_DEVICE"); path != "" {
		p.key.use(path)
	}
	return nil
}

// report says what went wrong, and returns the exit status.
func (p *program) report(err error) int {
	var ssh *exec.ExitError
	var server *api.Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &ssh):
		return ssh.ExitCode() // it has said why
	case errors.Is(err, errKey):
		advice := authenticator.AdviceOn(err)
		fmt.Fprintf(p.stderr, "connect: %v\nconnect: %s\n", err, advice.Hint)
		return advice.ExitStatus
	case errors.As(err, &server):
		fmt.Fprintln(p.stderr, "connect: server:", err)
	default:
		fmt.Fprintln(p.stderr, "connect:", err)
	}
	return 1
}

func (p *program) register(ctx context.Context, name string) error {
	begin := func() (*api.Ceremony, error) { return p.server.BeginRegistration(ctx, name) }
	answer, err := p.key.answer(ctx, begin, p.key.register)
	if err != nil {
		return err
	}
	key, err := p.server.FinishRegistration(ctx, answer)
	if err == nil {
		p.key.say("%q is registered.", key.Name)
	}
	return err
}

func (p *program) token(ctx context.Context, target string) (*api.Token, error) {
	begin := func() (*api.Ceremony, error) { return p.server.BeginConnection(ctx, target) }
	answer, err := p.key.answer(ctx, begin, p.key.authenticate)
	if err != nil {
		return nil, err
	}
	return p.server.FinishConnection(ctx, answer)
}

func (p *program) list(ctx context.Context) error {
	keys, err := p.server.Keys(ctx)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tREGISTERED\tLAST USED")
	for _, key := range keys {
		used := "never"
		if !key.LastUsed.IsZero() {
			used = key.LastUsed.Local().Format(time.DateTime)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", key.Name, key.Created.Local().Format(time.DateTime), used)
	}
	return table.Flush()
}
