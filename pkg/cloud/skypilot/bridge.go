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

// cloudQuestions bounds the questions to a cloud that the program works on at one time.
const cloudQuestions = 16

// bridge is the small Python program that answers what the wire doesn't carry. It runs while it is needed, and answers
// questions side by side: one that takes long, or never ends, holds up no other.
type bridge struct {
	opts   Options
	clouds chan struct{} // holds those who ask a cloud

	mu   sync.Mutex
	run  *bridgeRun // what takes the next question, or nil
	idle *time.Timer
}

// bridgeRun is one process of it.
type bridgeRun struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	stderr  *tail
	users   int // who have it from running; under the bridge's lock
	writing sync.Mutex

	mu      sync.Mutex
	asked   int
	waiting map[int]chan []byte // who waits for the answer to which question
	ended   bool                // no answer comes any more
}

func newBridge(o Options) *bridge {
	return &bridge{opts: o, clouds: make(chan struct{}, cloudQuestions)}
}

// bridgeError is what went wrong within SkyPilot or a cloud's own library.
type bridgeError struct{ Message string }

func (e *bridgeError) Error() string { return e.Message }

// ask puts a question to SkyPilot's library and decodes the answer.
func (b *bridge) ask(ctx context.Context, question, answer any) error {
	encoded, err := json.Marshal(question)
	if err != nil {
		return fmt.Errorf("ask SkyPilot: %w", err)
	}
	run, err := b.running()
	if err != nil {
		return err
	}
	data, err := run.exchange(ctx, encoded)
	b.release(run, err != nil)
	if ctx.Err() != nil && err != nil {
		return fmt.Errorf("ask SkyPilot: %w", context.Cause(ctx))
	}
	if err != nil {
		return &cloud.Error{Kind: cloud.Transient, Cause: err, Message: fmt.Sprintf(
			"ask SkyPilot: its library (%s) ended without an answer; it said last:\n%s", b.opts.Python, run.stderr.String())}
	}
	return readAnswer(data, answer)
}

// askCloud is ask for a question to a cloud, with a bound on how long the answer may take once it is put; 0 is none.
func (b *bridge) askCloud(ctx context.Context, within time.Duration, question, answer any) error {
	select {
	case b.clouds <- struct{}{}:
		defer func() { <-b.clouds }()
	case <-ctx.Done():
		return fmt.Errorf("ask SkyPilot: %w", context.Cause(ctx))
	}
	if within > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, within, silence(within))
		defer cancel()
	}
	return b.ask(ctx, question, answer)
}

func readAnswer(data []byte, answer any) error {
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

// exchange puts a question and waits for the answer to it.
func (r *bridgeRun) exchange(ctx context.Context, question []byte) ([]byte, error) {
	id, answer, err := r.register()
	if err != nil {
		return nil, err
	}
	defer r.forget(id)
	failed := make(chan error, 1)
	go func() { // a process that hangs reads nothing
		r.writing.Lock()
		defer r.writing.Unlock()
		if _, err := fmt.Fprintf(r.in, `{"id": %d, "question": %s}`+"\n", id, question); err != nil {
			failed <- err
		}
	}()
	select {
	case data, ok := <-answer:
		if !ok {
			return nil, io.ErrUnexpectedEOF
		}
		return data, nil
	case err := <-failed:
		return nil, err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (r *bridgeRun) register() (int, <-chan []byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return 0, nil, io.ErrUnexpectedEOF
	}
	r.asked++
	answer := make(chan []byte, 1)
	r.waiting[r.asked] = answer
	return r.asked, answer, nil
}

func (r *bridgeRun) forget(id int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, id)
}

// deliver hands answers to those who wait for them, until the process has ended.
func (r *bridgeRun) deliver(out io.Reader) {
	lines := bufio.NewReaderSize(out, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		var told struct {
			ID int `json:"id"`
		}
		if json.Unmarshal(line, &told) != nil {
			break // nothing of what it says can be told apart any more
		}
		r.mu.Lock()
		if answer := r.waiting[told.ID]; answer != nil { // nobody waits for an answer that comes too late
			answer <- line
			delete(r.waiting, told.ID)
		}
		r.mu.Unlock()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	for _, answer := range r.waiting {
		close(answer)
	}
	clear(r.waiting)
}

func (r *bridgeRun) hasEnded() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended
}

// running returns the process that takes questions, started where there is none, for the caller to release.
func (b *bridge) running() (*bridgeRun, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.idle != nil {
		b.idle.Stop()
	}
	if run := b.run; run != nil && run.hasEnded() {
		b.run = nil // those who waited for it are about to release it
		if run.users == 0 {
			run.kill()
		}
	}
	if b.run == nil {
		run, err := b.start()
		if err != nil {
			return nil, fmt.Errorf("start SkyPilot's library: %w", err)
		}
		b.run = run
	}
	b.run.users++
	return b.run, nil
}

// release ends the caller's use of a process. One that left a question without an answer takes no more questions: something in
// it may hang. It ends once nobody waits for it; one that is well ends unless it is asked again soon.
func (b *bridge) release(run *bridgeRun, unanswered bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	run.users--
	if unanswered && b.run == run {
		b.run = nil
	}
	switch {
	case run.users > 0:
	case b.run != run:
		run.kill()
	default:
		b.idle = time.AfterFunc(bridgeIdle, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			if b.run == run && run.users == 0 {
				b.run = nil
				run.kill()
			}
		})
	}
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
	run := &bridgeRun{cmd: exec.Command(b.opts.Python, program), stderr: &tail{}, waiting: map[int]chan []byte{}}
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
	run.in = in
	if err := run.cmd.Start(); err != nil {
		return nil, err
	}
	go run.deliver(out)
	return run, nil
}

// kill ends the process; its status says nothing.
func (r *bridgeRun) kill() {
	_ = r.in.Close()
	_ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL)
	_ = r.cmd.Wait()
}

// close ends the process where nobody waits for it, else once nobody does.
func (b *bridge) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.idle != nil {
		b.idle.Stop()
	}
	if run := b.run; run != nil {
		b.run = nil
		if run.users == 0 {
			run.kill()
		}
	}
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
