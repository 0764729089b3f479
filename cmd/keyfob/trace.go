package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/keyfob-go/keyfob/authenticator"
	"github.com/keyfob-go/keyfob/ctaphid"
	"github.com/keyfob-go/keyfob/hid"
	"github.com/keyfob-go/keyfob/internal/redact"
)

// openKey opens a key of the system.
func (inv *invocation) openKey(ctx context.Context, key hid.Info) (*authenticator.Authenticator, error) {
	if inv.trace == "" {
		return authenticator.Open(ctx, key, inv.ui())
	}
	dev, err := hid.Open(key.Path)
	if err != nil {
		return nil, err
	}
	inv.opened = dev.Info()
	return inv.openDevice(ctx, dev)
}

// device is what every device is here.
type device interface {
	io.ReadWriteCloser
	ReportSizes() (in, out int)
}

// openDevice starts to talk to a key, and closes it if it fails.
func (inv *invocation) openDevice(ctx context.Context, dev device) (*authenticator.Authenticator, error) {
	dev, err := inv.traced(dev)
	if err != nil {
		return nil, err
	}
	channel, err := ctaphid.Open(ctx, dev)
	if err != nil {
		return nil, err
	}
	return authenticator.New(ctx, channel, inv.ui())
}

// traced returns the device as the command line wants it, or closes it.
func (inv *invocation) traced(dev device) (device, error) {
	if inv.trace == "" {
		return dev, nil
	}
	file, err := inv.createTrace()
	if err != nil {
		dev.Close()
		return nil, failuref(exitError, "check --trace", "trace: %w", err)
	}
	var hide func(ctaphid.Message)
	if !inv.traceRaw {
		hide = redact.New().Message
	}
	recorder := ctaphid.Record(dev, traceWriter{file, inv.stderr}, hide)
	return tracedDevice{recorder, dev, file}, nil
}

// createTrace makes the file, which only its owner may read even if it was there before.
func (inv *invocation) createTrace() (*os.File, error) {
	file, err := os.OpenFile(inv.trace, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := inv.beginTrace(file); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

func (inv *invocation) beginTrace(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Mode().IsRegular() { // and not a terminal
		if err := file.Chmod(0o600); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	contents := "without what identifies the user"
	if inv.traceRaw {
		contents = "with accounts and credentials: keep it to yourself"
	}
	_, err = fmt.Fprintf(file, "# keyfob %s %s, %s\n# %s\n", version(), platform, contents, model(inv.opened))
	return err
}

// model describes a key but for where it is plugged in and which of its kind it is.
func model(key hid.Info) string {
	if key.Path == "" {
		return "the virtual key"
	}
	text := fmt.Sprintf("%v %04x:%04x %s %s", key.Bus, key.VendorID, key.ProductID, key.Manufacturer, key.Product)
	return printable(strings.TrimSpace(text)) // a newline would end the comment
}

// traceWriter tells if the trace cannot be written, which happens once.
type traceWriter struct {
	file   *os.File
	stderr io.Writer
}

// Write implements [io.Writer].
func (w traceWriter) Write(p []byte) (int, error) {
	n, err := w.file.Write(p)
	if err != nil {
		fmt.Fprintf(w.stderr, "keyfob: the trace is not complete: %v\n", err)
	}
	return n, err
}

// tracedDevice closes the file together with the device.
type tracedDevice struct {
	io.ReadWriteCloser
	device device
	file   *os.File
}

// ReportSizes returns those of the device.
func (d tracedDevice) ReportSizes() (in, out int) { return d.device.ReportSizes() }

// Close implements [io.Closer].
func (d tracedDevice) Close() error { return errors.Join(d.ReadWriteCloser.Close(), d.file.Close()) }
