// Server lets users through to TCP services, after a touch of a security key each time.
//
//	server [flags] add-user NAME    make a user, or a new token for one, and print the token
//	server [flags] serve            serve until interrupted
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

// flags are those of the command line.
type flags struct {
	config
	database string
	listen   string
}

func run(ctx context.Context, args []string) error {
	f := &flags{config: config{Targets: map[string]string{}, UserVerification: protocol.VerificationDiscouraged}}
	set := f.set()
	if err := set.Parse(args); err != nil {
		return err
	}
	store, err := openStore(ctx, f.database)
	if err != nil {
		return err
	}
	defer store.Close()
	switch command := set.Arg(0); {
	case command == "add-user" && set.NArg() == 2:
		token, err := store.addUser(ctx, set.Arg(1))
		if err != nil {
			return err
		}
		fmt.Println(token)
		return nil
	case command == "serve" && set.NArg() == 1:
		return f.serve(ctx, store)
	}
	return errors.New("the command is add-user NAME or serve, after the flags")
}

func (f *flags) set() *flag.FlagSet {
	set := flag.NewFlagSet("server", flag.ContinueOnError)
	set.StringVar(&f.database, "database", "connect.db", "the `FILE` with users and keys, and the secret that tokens are signed with")
	set.StringVar(&f.listen, "listen", "localhost:8080", "serve at this `ADDRESS`")
	set.StringVar(&f.Origin, "origin", "", "what clients call the server: `https://HOST` (default http://localhost:PORT)")
	set.Func("target", "let users connect to `NAME=HOST:PORT`; may be repeated", f.addTarget)
	set.DurationVar(&f.TokenLifetime, "token-lifetime", time.Minute, "how long one touch lets in; 0 is for one connection")
	set.DurationVar(&f.TouchTimeout, "touch-timeout", time.Minute, "how long a user may take to touch a key")
	set.Func("user-verification", "`required`, preferred, or discouraged (default): a PIN or a fingerprint", f.setUserVerification)
	return set
}

func (f *flags) addTarget(value string) error {
	name, address, found := strings.Cut(value, "=")
	if !found || name == "" {
		return errors.New("want NAME=HOST:PORT")
	}
	f.Targets[name] = address
	return nil
}

func (f *flags) setUserVerification(value string) error {
	switch v := protocol.UserVerificationRequirement(value); v {
	case protocol.VerificationRequired, protocol.VerificationPreferred, protocol.VerificationDiscouraged:
		f.UserVerification = v
		return nil
	}
	return errors.New("unknown")
}

// serve lasts until ctx is done, which is no error.
func (f *flags) serve(ctx context.Context, store *store) error {
	listener, err := net.Listen("tcp", f.listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	if f.Origin == "" {
		f.Origin = fmt.Sprintf("http://localhost:%d", listener.Addr().(*net.TCPAddr).Port)
	}
	s, err := newServer(ctx, f.config, store, slog.New(slog.NewTextHandler(os.Stderr, nil)), time.Now)
	if err != nil {
		return err
	}
	web := &http.Server{
		Handler: s.handler(), ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	context.AfterFunc(ctx, func() { web.Close() })
	s.log.Info("serving", "origin", f.Origin, "address", listener.Addr().String())
	if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
