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

// bridgeIdleTimeout is how long the program stays for the next question; it takes one to three seconds to start, and
// 0.2 GB.
const bridgeIdleTimeout = 3 * time.Minute

// maxCloudCalls bounds the questions to a cloud that the program works on at one time.
const maxCloudCalls = 16

// bridge is the small Python program that answers what the wire doesn't carry. It runs while it is needed, and answers
// questions side by side: one that takes long, or never ends, holds up no other.
type bridge struct {
	opts   Options
	clouds chan struct{} // holds those who ask a cloud

	mu   sync.Mutex
	run  *bridgeProcess // what takes the next question, or nil
	idle *time.Timer
}

// bridgeProcess is one process of it.
type bridgeProcess struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	stderr  *outputTail
	users   int // who have it from running; under the bridge's lock
	writing sync.Mutex

	mu      sync.Mutex
	asked   int
	waiting map[int]chan []byte // who waits for the answer to which question
	ended   bool                // no answer comes any more
}

func newBridge(o Options) *bridge {
	return &bridge{opts: o, clouds: make(chan struct{}, maxCloudCalls)}
}

// bridgeError is what went wrong within SkyPilot or a cloud's own library.
type bridgeError struct{ Message string }

func (e *bridgeError) Error() string { return e.Message }

// callLibrary puts a question to SkyPilot's library and decodes the answer.
func (b *bridge) callLibrary(ctx context.Context, question, answer any) error {
	encoded, err := json.Marshal(question)
	if err != nil {
		return fmt.Errorf("ask SkyPilot: %w", err)
	}
	run, err := b.acquireProcess()
	if err != nil {
		return err
	}
	data, err := run.exchangeMessage(ctx, encoded)
	b.releaseProcess(run, err != nil)
	if ctx.Err() != nil && err != nil {
		return fmt.Errorf("ask SkyPilot: %w", context.Cause(ctx))
	}
	if err != nil {
		return &cloud.Error{Kind: cloud.Transient, Cause: err, Message: fmt.Sprintf(
			"ask SkyPilot: its library (%s) ended without an answer; it said last:\n%s", b.opts.Python,
			run.stderr.String())}
	}
	return decodeAnswer(data, answer)
}

// callCloud is ask for a question to a cloud, with a bound on how long the answer may take once it is put; 0 is none.
func (b *bridge) callCloud(ctx context.Context, within time.Duration, question, answer any) error {
	select {
	case b.clouds <- struct{}{}:
		defer func() { <-b.clouds }()
	case <-ctx.Done():
		return fmt.Errorf("ask SkyPilot: %w", context.Cause(ctx))
	}
	if within > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, within, newSilenceError(within))
		defer cancel()
	}
	return b.callLibrary(ctx, question, answer)
}

func decodeAnswer(data []byte, answer any) error {
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

// exchangeMessage puts a question and waits for the answer to it.
func (r *bridgeProcess) exchangeMessage(ctx context.Context, question []byte) ([]byte, error) {
	id, answer, err := r.registerQuestion()
	if err != nil {
		return nil, err
	}
	defer r.forgetQuestion(id)
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

func (r *bridgeProcess) registerQuestion() (int, <-chan []byte, error) {
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

func (r *bridgeProcess) forgetQuestion(id int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, id)
}

// deliverAnswers hands answers to those who wait for them, until the process has ended.
func (r *bridgeProcess) deliverAnswers(out io.Reader) {
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

func (r *bridgeProcess) hasEnded() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended
}

// acquireProcess returns the process that takes questions, started where there is none, for the caller to release.
func (b *bridge) acquireProcess() (*bridgeProcess, error) {
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
		run, err := b.startProcess()
		if err != nil {
			return nil, fmt.Errorf("start SkyPilot's library: %w", err)
		}
		b.run = run
	}
	b.run.users++
	return b.run, nil
}

// releaseProcess ends the caller's use of a process. One that left a question without an answer takes no more
// questions: something in it may hang. It ends once nobody waits for it; one that is well ends unless it is asked again
// soon.
func (b *bridge) releaseProcess(run *bridgeProcess, unanswered bool) {
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
		b.idle = time.AfterFunc(bridgeIdleTimeout, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			if b.run == run && run.users == 0 {
				b.run = nil
				run.kill()
			}
		})
	}
}

func (b *bridge) startProcess() (*bridgeProcess, error) {
	if err := b.opts.checkInstalled(); err != nil {
		return nil, err
	}
	for _, dir := range []string{b.opts.Dir, b.opts.runtimeDir(), b.opts.pluginDir()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	program := filepath.Join(b.opts.pluginDir(), "skyctl_bridge.py")
	if err := writeFileAtomically(program, bridgeProgram); err != nil {
		return nil, err
	}
	run := &bridgeProcess{cmd: exec.Command(b.opts.Python, program), stderr: &outputTail{},
		waiting: map[int]chan []byte{}}
	run.cmd.Env, run.cmd.Dir, run.cmd.Stderr = b.opts.pythonEnviron(), b.opts.Dir, run.stderr
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
	go run.deliverAnswers(out)
	return run, nil
}

// kill ends the process; its status says nothing.
func (r *bridgeProcess) kill() {
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

// outputTail keeps the end of what is written to it.
type outputTail struct {
	mu   sync.Mutex
	data []byte
}

func (t *outputTail) Write(p []byte) (int, error) {
	const most = 4 << 10
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, p...)
	if extra := len(t.data) - most; extra > 0 {
		t.data = append([]byte(nil), t.data[extra:]...)
	}
	return len(p), nil
}

func (t *outputTail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(stripEscapes(string(t.data)))
}

// asBridgeError finds an error that SkyPilot's library gave.
func asBridgeError(err error) (*bridgeError, bool) {
	var e *bridgeError
	return e, errors.As(err, &e)
}
