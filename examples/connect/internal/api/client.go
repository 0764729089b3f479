package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// Client calls a server for one user. Errors of the server's are of type *Error.
type Client struct {
	Server string // "https://connect.example.org", without a path
	Token  string // the user's, secret
}

const (
	requestTimeout = 30 * time.Second
	maxAnswer      = 1 << 20 // bytes
)

// BeginRegistration begins to register a key.
func (c *Client) BeginRegistration(ctx context.Context, name string) (*Ceremony, error) {
	return call[Ceremony](ctx, c, BeginRegistration, NewKey{name})
}

// FinishRegistration ends it with the key's answer.
func (c *Client) FinishRegistration(ctx context.Context, answer *Answer) (*Key, error) {
	return call[Key](ctx, c, FinishRegistration, answer)
}

// Keys returns the user's keys in the order of their names.
func (c *Client) Keys(ctx context.Context) ([]Key, error) {
	keys, err := call[[]Key](ctx, c, ListKeys, nil)
	if err != nil {
		return nil, err
	}
	for i := range *keys {
		(*keys)[i].Name = printable((*keys)[i].Name)
	}
	return *keys, nil
}

// DeleteKey deletes one of the user's keys.
func (c *Client) DeleteKey(ctx context.Context, name string) error {
	_, err := call[struct{}](ctx, c, DeleteKey+"?name="+url.QueryEscape(name), nil)
	return err
}

// BeginConnection begins the ceremony before a connection.
func (c *Client) BeginConnection(ctx context.Context, target string) (*Ceremony, error) {
	return call[Ceremony](ctx, c, BeginConnection, Target{target})
}

// FinishConnection ends it with the key's answer.
func (c *Client) FinishConnection(ctx context.Context, answer *Answer) (*Token, error) {
	return call[Token](ctx, c, FinishConnection, answer)
}

// Conn is a connection to a target.
type Conn interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// Connect opens a connection to the target that the token is for. The connection ends with ctx.
func (c *Client) Connect(ctx context.Context, token string) (Conn, error) {
	request, err := c.request(ctx, Connect, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", Protocol)
	request.Header.Set(TokenHeader, token)
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	conn, isConn := response.Body.(Conn)
	if response.StatusCode != http.StatusSwitchingProtocols || !isConn {
		defer response.Body.Close()
		return nil, failure(response)
	}
	bound := &boundConn{conn, context.AfterFunc(ctx, func() { conn.Close() })}
	return bound, nil
}

// boundConn ends with a context: net/http lets go of connections that it hands over.
type boundConn struct {
	Conn
	stop func() bool
}

func (b *boundConn) Close() error {
	b.stop()
	return b.Conn.Close()
}

// client follows no redirections: the token is for this server only.
var client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// call sends a request with a body, unless that is nil, and returns the result, which is there even if the server says null.
func call[R any](ctx context.Context, c *Client, methodAndPath string, body any) (*R, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	request, err := c.request(ctx, methodAndPath, body)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, failure(response)
	}
	result := new(R)
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(result); err != nil {
		return nil, fmt.Errorf("the server's answer: %w", err)
	}
	return result, nil
}

func (c *Client) request(ctx context.Context, methodAndPath string, body any) (*http.Request, error) {
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(encoded)
	}
	method, path, _ := strings.Cut(methodAndPath, " ")
	request, err := http.NewRequestWithContext(ctx, method, c.Server+path, content)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+c.Token)
	return request, nil
}

// failure makes an error of what is no result.
func failure(response *http.Response) error {
	e := &Error{Status: response.StatusCode}
	json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(e) // a proxy may have answered something else
	e.Message = printable(cmp.Or(e.Message, fmt.Sprintf("the server answered %s", response.Status)))
	return e
}

// printable takes out what would play tricks on the terminal that shows it: whoever answers need not be the server.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
