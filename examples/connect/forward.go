package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/keyfob-go/keyfob/examples/connect/internal/api"
)

// pipe connects standard input and output to a target, as ssh's ProxyCommand does.
func (p *program) pipe(ctx context.Context, target string) error {
	token, err := p.token(ctx, target)
	if err != nil {
		return err
	}
	conn, err := p.server.Connect(ctx, token.Token)
	if err != nil {
		return err
	}
	defer conn.Close()
	go func() { // until the target ends the connection, and with it the program
		io.Copy(conn, p.stdin)
		conn.CloseWrite()
	}()
	_, err = io.Copy(p.stdout, conn)
	return err
}

// sshTarget is what neither ssh takes for an option nor the shell for anything but a word.
var sshTarget = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)

// ssh runs OpenSSH with this program as its way to the target.
func (p *program) ssh(ctx context.Context, target string, args []string) error {
	if !sshTarget.MatchString(target) {
		return fmt.Errorf("%q is no name of a target that ssh takes", target)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// ssh replaces what begins with a percent sign, and gives the rest to the shell.
	proxy := strings.ReplaceAll(fmt.Sprintf(`"%s" forward "%s"`, self, target), "%", "%%")
	command := exec.CommandContext(ctx, "ssh", append([]string{"-o", "ProxyCommand=" + proxy, target}, args...)...)
	command.Stdin, command.Stdout, command.Stderr = p.stdin, p.stdout, p.stderr
	return command.Run()
}

// listen forwards every connection to an address of this machine. One touch is for all, as long as its token is good.
func (p *program) listen(ctx context.Context, address, target string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stderr, "%s is %s now.\n", listener.Addr(), target)
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	grants := &grants{program: p, target: target}
	var all sync.WaitGroup
	defer all.Wait()
	for {
		conn, err := listener.Accept()
		if err != nil {
			return errors.Join(context.Cause(ctx), err)
		}
		all.Go(func() {
			if err := grants.forward(ctx, conn.(*net.TCPConn)); err != nil {
				fmt.Fprintln(p.stderr, "connect:", err)
			}
		})
	}
}

// grants keeps the token of the last touch.
type grants struct {
	program *program
	target  string

	mu    sync.Mutex // held through a touch: those who come meanwhile wait for the same token
	token *api.Token
}

// get returns a token that is good for one more connection.
func (g *grants) get(ctx context.Context) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.token == nil || g.token.Once || time.Until(g.token.Expires) < time.Second {
		token, err := g.program.token(ctx, g.target)
		if err != nil {
			return "", err
		}
		g.token = token
	}
	return g.token.Token, nil
}

// forget has the next connection ask for another touch: the server refuses the token earlier than the clocks say.
func (g *grants) forget(token string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.token != nil && g.token.Token == token {
		g.token = nil
	}
}

func (g *grants) forward(ctx context.Context, local *net.TCPConn) error {
	defer local.Close()
	token, err := g.get(ctx)
	if err != nil {
		return err
	}
	remote, err := g.program.server.Connect(ctx, token)
	if refused := (*api.Error)(nil); errors.As(err, &refused) && refused.Status == http.StatusForbidden {
		g.forget(token)
	}
	if err != nil {
		return err
	}
	defer remote.Close()
	stop := context.AfterFunc(ctx, func() { local.Close() })
	defer stop()
	var there sync.WaitGroup
	there.Go(func() {
		io.Copy(remote, local)
		remote.CloseWrite()
	})
	io.Copy(local, remote)
	local.Close() // nobody would read what it sends now
	there.Wait()
	return nil
}
