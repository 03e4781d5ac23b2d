package skypilot

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

//go:embed python/skyctl_bridge.py
var bridgeProgram []byte

// bridgeIdle is how long the program stays for the next question; it takes one to three seconds to start, and 0.2 GB.
const bridgeIdle = 3 * time.Minute

// bridge is the small Python program that answers what the wire doesn't carry. It runs while it is needed, and answers
// one question after the other.
type bridge struct {
	opts Options
	turn chan struct{} // holds the one who asks

	mu   sync.Mutex
	run  *bridgeRun
	idle *time.Timer
}

type bridgeRun struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr *tail
}

func newBridge(o Options) *bridge { return &bridge{opts: o, turn: make(chan struct{}, 1)} }

// bridgeError is what went wrong within SkyPilot or a cloud's own library.
type bridgeError struct{ Message string }

func (e *bridgeError) Error() string { return e.Message }

// ask puts a question and decodes the answer.
func (b *bridge) ask(ctx context.Context, question, answer any) error {
	return b.askWithin(ctx, 0, question, answer)
}

// askWithin is ask with a bound on how long the answer may take once it is the caller's turn; 0 is none.
func (b *bridge) askWithin(ctx context.Context, within time.Duration, question, answer any) error {
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	line, err := json.Marshal(question)
	if err != nil {
		return fmt.Errorf("ask SkyPilot: %w", err)
	}
	run, err := b.running()
	if err != nil {
		return err
	}
	if within > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, within, silence(within))
		defer cancel()
	}
	data, err := run.exchange(ctx, line)
	if err != nil {
		b.end()
		if ctx.Err() != nil {
			return fmt.Errorf("ask SkyPilot: %w", context.Cause(ctx))
		}
		return &cloud.Error{Kind: cloud.Transient, Cause: err, Message: fmt.Sprintf(
			"ask SkyPilot: its library (%s) ended without an answer; it said last:\n%s", b.opts.Python, run.stderr.String())}
	}
	b.rest()
	var told struct {
		OK    json.RawMessage `json:"ok"`
		Error string          `json:"error"`
	}
	if err := json.Unmarshal(data, &told); err != nil {
		return fmt.Errorf("read SkyPilot's answer: %w", err)
	}
	if told.Error != "" {
		return &bridgeError{told.Error}
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(told.OK, answer); err != nil {
		return fmt.Errorf("read SkyPilot's answer: %w", err)
	}
	return nil
}

// exchange writes a line and reads one. Cancelling it costs the process.
func (r *bridgeRun) exchange(ctx context.Context, line []byte) ([]byte, error) {
	type result struct {
		data []byte
		err  error
	}
	got := make(chan result, 1)
	go func() {
		_, err := r.in.Write(append(line, '\n'))
		if err != nil {
			got <- result{err: err}
			return
		}
		data, err := r.out.ReadBytes('\n')
		got <- result{data, err}
	}()
	select {
	case g := <-got:
		return g.data, g.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// running returns the process, started where there is none.
func (b *bridge) running() (*bridgeRun, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.idle != nil {
		b.idle.Stop()
	}
	if b.run != nil {
		return b.run, nil
	}
	run, err := b.start()
	if err != nil {
		return nil, fmt.Errorf("start SkyPilot's library: %w", err)
	}
	b.run = run
	return run, nil
}

func (b *bridge) start() (*bridgeRun, error) {
	if err := b.opts.prepared(); err != nil {
		return nil, err
	}
	for _, dir := range []string{b.opts.Dir, b.opts.runtimeDir(), b.opts.pluginDir()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	program := filepath.Join(b.opts.pluginDir(), "skyctl_bridge.py")
	if err := writeFile(program, bridgeProgram); err != nil {
		return nil, err
	}
	run := &bridgeRun{cmd: exec.Command(b.opts.Python, program), stderr: &tail{}}
	run.cmd.Env, run.cmd.Dir, run.cmd.Stderr = b.opts.environ(), b.opts.Dir, run.stderr
	run.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := run.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := run.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	run.in, run.out = in, bufio.NewReaderSize(out, 1<<20)
	if err := run.cmd.Start(); err != nil {
		return nil, err
	}
	return run, nil
}

// rest ends the process unless it is asked again soon.
func (b *bridge) rest() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.idle = time.AfterFunc(bridgeIdle, func() {
		select {
		case b.turn <- struct{}{}:
			b.end()
			<-b.turn
		default: // somebody asks
		}
	})
}

// end ends the process, if there is one.
func (b *bridge) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.run == nil {
		return
	}
	run := b.run
	b.run = nil
	run.in.Close()
	_ = syscall.Kill(-run.cmd.Process.Pid, syscall.SIGKILL)
	_ = run.cmd.Wait() // it was killed: its status says nothing
}

func (b *bridge) close() error {
	b.turn <- struct{}{}
	defer func() { <-b.turn }()
	b.mu.Lock()
	if b.idle != nil {
		b.idle.Stop()
	}
	b.mu.Unlock()
	b.end()
	return nil
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	data []byte
}

func (t *tail) Write(p []byte) (int, error) {
	const most = 4 << 10
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, p...)
	if extra := len(t.data) - most; extra > 0 {
		t.data = append([]byte(nil), t.data[extra:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(plain(string(t.data)))
}

// isBridge finds an error that SkyPilot's library gave.
func isBridge(err error) (*bridgeError, bool) {
	var e *bridgeError
	return e, errors.As(err, &e)
}
