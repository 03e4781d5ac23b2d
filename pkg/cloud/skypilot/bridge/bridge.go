// Package bridge asks SkyPilot's Python library what the API server does not say in JSON, or has no call for:
// placements as data, the addresses of machines, and the AWS account itself. A small Python program answers over pipes.
package bridge

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/logtext"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/venv"
)

//go:embed python/skyctl_bridge.py
var program []byte

// idleTimeout is how long the program waits for the next question. It takes one to three seconds to start, and 0.2 GB
// of memory.
const idleTimeout = 3 * time.Minute

// maxCloudCalls bounds the questions to a cloud that the program works on at one time.
const maxCloudCalls = 16

// Bridge is the Python program. It runs while it is needed and answers questions concurrently: one that takes long, or
// never ends, does not delay the others.
type Bridge struct {
	env        venv.Environment
	cloudCalls chan struct{} // holds an entry for each question to a cloud

	mu      sync.Mutex
	current *process // takes the next question, or nil
	idle    *time.Timer
}

// New returns the bridge. It starts the program with the first question.
func New(env venv.Environment) *Bridge {
	return &Bridge{env: env, cloudCalls: make(chan struct{}, maxCloudCalls)}
}

// Error is a failure within SkyPilot or a cloud's own library.
type Error struct{ Message string }

func (e *Error) Error() string { return e.Message }

// AsError finds an error of SkyPilot's library.
func AsError(err error) (*Error, bool) {
	var e *Error
	return e, errors.As(err, &e)
}

// NewSilenceError is the cause of a timeout for a cloud's answer.
func NewSilenceError(d time.Duration) error { return fmt.Errorf("no answer within %v", d) }

// callLibrary asks SkyPilot's library and decodes the answer.
func (b *Bridge) callLibrary(ctx context.Context, question, answer any) error {
	encoded, err := json.Marshal(question)
	if err != nil {
		return fmt.Errorf("ask SkyPilot: %w", err)
	}
	p, err := b.acquireProcess()
	if err != nil {
		return err
	}
	data, err := p.exchangeMessage(ctx, encoded)
	b.releaseProcess(p, err != nil)
	if ctx.Err() != nil && err != nil {
		return fmt.Errorf("ask SkyPilot: %w", context.Cause(ctx))
	}
	if err != nil {
		return &cloud.Error{Kind: cloud.Transient, Cause: err, Message: fmt.Sprintf(
			"ask SkyPilot: its library (%s) exited without an answer; its last output was:\n%s", b.env.Python,
			p.stderr.String())}
	}
	return decodeAnswer(data, answer)
}

// callCloud is callLibrary for a question to a cloud. The answer may take as long as given, from when the question is
// asked; 0 is no limit.
func (b *Bridge) callCloud(ctx context.Context, within time.Duration, question, answer any) error {
	select {
	case b.cloudCalls <- struct{}{}:
		defer func() { <-b.cloudCalls }()
	case <-ctx.Done():
		return fmt.Errorf("ask SkyPilot: %w", context.Cause(ctx))
	}
	if within > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, within, NewSilenceError(within))
		defer cancel()
	}
	return b.callLibrary(ctx, question, answer)
}

func decodeAnswer(data []byte, answer any) error {
	var reply struct {
		OK    json.RawMessage `json:"ok"`
		Error string          `json:"error"`
	}
	if err := json.Unmarshal(data, &reply); err != nil {
		return fmt.Errorf("read SkyPilot's answer: %w", err)
	}
	if reply.Error != "" {
		return &Error{reply.Error}
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(reply.OK, answer); err != nil {
		return fmt.Errorf("read SkyPilot's answer: %w", err)
	}
	return nil
}

// acquireProcess returns the process that takes questions, and starts one if there is none. The caller releases it.
func (b *Bridge) acquireProcess() (*process, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.idle != nil {
		b.idle.Stop()
	}
	if p := b.current; p != nil && p.hasEnded() {
		b.current = nil // its callers are about to release it
		if p.users == 0 {
			p.kill()
		}
	}
	if b.current == nil {
		p, err := b.startProcess()
		if err != nil {
			return nil, fmt.Errorf("start SkyPilot's library: %w", err)
		}
		b.current = p
	}
	b.current.users++
	return b.current, nil
}

// releaseProcess ends a caller's use of a process. A process that left a question unanswered takes no more questions,
// because something in it may hang; it is killed once nobody waits for it. Another one is killed after idleTimeout.
func (b *Bridge) releaseProcess(p *process, unanswered bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p.users--
	if unanswered && b.current == p {
		b.current = nil
	}
	switch {
	case p.users > 0:
	case b.current != p:
		p.kill()
	default:
		b.idle = time.AfterFunc(idleTimeout, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			if b.current == p && p.users == 0 {
				b.current = nil
				p.kill()
			}
		})
	}
}

func (b *Bridge) startProcess() (*process, error) {
	if err := b.env.CheckInstalled(); err != nil {
		return nil, err
	}
	if err := b.env.CreateDirs(); err != nil {
		return nil, err
	}
	path := filepath.Join(b.env.PluginDir(), "skyctl_bridge.py")
	if err := venv.WriteFile(path, program); err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(b.env.Python, path), stderr: &logtext.Tail{}, waiting: map[int]chan []byte{}}
	p.cmd.Env, p.cmd.Dir, p.cmd.Stderr = b.env.Variables(), b.env.Dir, p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.in = in
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go p.deliverAnswers(out)
	return p, nil
}

// Close kills the process now if it has no callers, else once it has none.
func (b *Bridge) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.idle != nil {
		b.idle.Stop()
	}
	if p := b.current; p != nil {
		b.current = nil
		if p.users == 0 {
			p.kill()
		}
	}
	return nil
}
