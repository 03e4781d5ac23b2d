package remote

import (
	"context"
	"io"
	"net"
	"os"
	"time"
)

// Host is a live connection to a machine. It is safe for concurrent use.
type Host struct{}

func NewKeyPair() (privatePEM []byte, public string, err error) { panic("not written yet") }
func Dial(ctx context.Context, t Target, privatePEM []byte) (*Host, error) {
	panic("not written yet")
}
func WaitDial(ctx context.Context, t Target, privatePEM []byte, progress func(string)) (*Host, error) {
	panic("not written yet")
}
func (h *Host) HostKey() string { panic("not written yet") }
func (h *Host) Name() string    { panic("not written yet") }
func (h *Host) Run(ctx context.Context, cmd string, stdin io.Reader) ([]byte, error) {
	panic("not written yet")
}
func (h *Host) Script(ctx context.Context, name, script string) ([]byte, error) {
	panic("not written yet")
}

// Follow runs a script as Script does and hands over each line of its standard output as it comes.
func (h *Host) Follow(ctx context.Context, name, script string, line func(string)) error {
	panic("not written yet")
}
func (h *Host) WriteFile(ctx context.Context, path string, data []byte, mode os.FileMode) error {
	panic("not written yet")
}
func (h *Host) Upload(ctx context.Context, local, path, sha256 string, progress func(done, total int64)) error {
	panic("not written yet")
}
func (h *Host) ReadFile(ctx context.Context, path string) ([]byte, error) { panic("not written yet") }
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	panic("not written yet")
}
func (h *Host) Alive() bool  { panic("not written yet") }
func (h *Host) Close() error { panic("not written yet") }

// Pool keeps one connection per machine.
type Pool struct{}

func NewPool(idle time.Duration) *Pool { panic("not written yet") }

// Wait returns the machine's connection, dialling (WaitDial) where there is none or it broke.
func (p *Pool) Wait(ctx context.Context, t Target, privatePEM []byte, progress func(string)) (*Host, error) {
	panic("not written yet")
}

// Get is Wait with a single try (Dial).
func (p *Pool) Get(ctx context.Context, t Target, privatePEM []byte) (*Host, error) {
	panic("not written yet")
}

// Forget closes the connection to the machine of that name, if there is one.
func (p *Pool) Forget(name string) { panic("not written yet") }
func (p *Pool) Close()             { panic("not written yet") }
