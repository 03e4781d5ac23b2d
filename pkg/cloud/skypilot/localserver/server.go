// Package localserver runs the SkyPilot API server that skyctl starts itself.
package localserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/client"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/logtext"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/venv"
	"github.com/sky-shift/skyctl/pkg/filelock"
)

// startTimeout is how long the server may take to answer: usually five seconds, longer on a busy machine.
const startTimeout = 2 * time.Minute

// hungStartTimeout is the age from which a server that runs, and at whose port nothing listens, is taken for one that
// failed to start: SkyPilot's server does not exit then, because it waits for its own processes for ever, and gives
// these 60 seconds (0.14.1, sky/server/requests/queues/mp_queue.py).
const hungStartTimeout = startTimeout + time.Minute

// A server that exits while it starts is started again, maxStartTries times in all.
const (
	maxStartTries = 3
	restartDelay  = 2 * time.Second
)

const (
	// stopTimeout is how long the server may take to exit. It does not wait for launches, only for its connections.
	stopTimeout = 3 * time.Second
	// killTimeout is how long killed processes may take to disappear.
	killTimeout = 30 * time.Second
)

// Options of the server.
type Options struct {
	// Plugins are further plugins, as package.module.Class.
	Plugins []string
	// FullRuntime leaves SkyPilot's own runtime on the machines.
	FullRuntime bool
	Log         *slog.Logger
}

// Server is a process of its own. It continues to run when the process that started it exits.
type Server struct {
	env      venv.Environment
	opts     Options
	starting chan struct{} // holds an entry while this process checks or starts the server
}

// New returns the server. It does not start it.
func New(env venv.Environment, o Options) *Server {
	return &Server{env: env, opts: o, starting: make(chan struct{}, 1)}
}

func (s *Server) pidFilePath() string  { return filepath.Join(s.env.Dir, "server.pid") }
func (s *Server) logFilePath() string  { return filepath.Join(s.env.Dir, "server.log") }
func (s *Server) lockFilePath() string { return filepath.Join(s.env.Dir, "server.lock") }

// EnsureRunning starts the server if it does not answer. A lock keeps two processes from starting it at once.
func (s *Server) EnsureRunning(ctx context.Context, c *client.Client) error {
	select {
	case s.starting <- struct{}{}:
		defer func() { <-s.starting }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if running, err := s.isAnswering(ctx, c); err != nil || running {
		return err
	}
	if err := s.env.CheckInstalled(); err != nil {
		return err
	}
	if err := s.writeFiles(); err != nil {
		return fmt.Errorf("start the SkyPilot API server: %w", err)
	}
	unlock, err := filelock.Acquire(ctx, s.lockFilePath())
	if err != nil {
		return fmt.Errorf("start the SkyPilot API server: %w", err)
	}
	defer unlock()
	if running, err := s.isAnswering(ctx, c); err != nil || running {
		return err
	}
	return s.startWithRetries(ctx, c)
}

// isAnswering reports whether our server answers. Another server on our port is an error, because its machines would
// not be ours.
func (s *Server) isAnswering(ctx context.Context, c *client.Client) (bool, error) {
	short, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var h client.Health
	_, err := c.TryCall(short, "/api/health", nil, &h)
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	if pid := s.runningPID(); pid != 0 {
		// It may still be starting, or be too busy to answer soon.
		return err == nil, nil
	}
	if err == nil || !client.IsUnreachable(err) {
		return false, &cloud.Error{Kind: cloud.Conflict, Message: fmt.Sprintf(
			"another server answers at %s instead of the SkyPilot API server of %s: choose another port for it "+
				"(skypilot.port), or stop the other server",
			c.Endpoint, s.env.Dir)}
	}
	return false, nil
}

// runningPID is the process id of our server, or 0 if it does not run.
func (s *Server) runningPID() int {
	data, err := os.ReadFile(s.pidFilePath())
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid <= 1 || syscall.Kill(pid, 0) != nil {
		return 0
	}
	command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err == nil && !bytes.Contains(command, []byte("sky.server.server")) {
		return 0 // another process has that id now
	}
	return pid
}

// startWithRetries runs the server and waits until it answers. A server that exits meanwhile is started again: another
// program may have used one of its further ports for a moment.
func (s *Server) startWithRetries(ctx context.Context, c *client.Client) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for n := 1; ; n++ {
		err := s.tryStart(ctx, c)
		if cloud.KindOf(err) != cloud.Unreachable || n == maxStartTries {
			return err
		}
		s.opts.Log.Warn("the SkyPilot API server is started again", "error", err)
		if await.Pause(ctx, restartDelay) != nil {
			return err
		}
	}
}

// isHung reports whether our server runs and failed to start. A server that is merely busy still listens.
func (s *Server) isHung(ctx context.Context, c *client.Client) bool {
	started, err := os.Stat(s.pidFilePath())
	if err != nil || time.Since(started.ModTime()) < hungStartTimeout || s.runningPID() == 0 {
		return false
	}
	var h client.Health
	_, err = c.TryCall(ctx, "/api/health", nil, &h)
	return errors.Is(err, syscall.ECONNREFUSED)
}

// tryStart returns an Unreachable error if the server exited.
func (s *Server) tryStart(ctx context.Context, c *client.Client) error {
	var last error
	exited := make(chan error, 1)
	if s.isHung(ctx, c) {
		s.opts.Log.Warn("the SkyPilot API server runs and does not listen: it is ended and started again", "log",
			s.logFilePath())
		if err := s.killProcessGroup(ctx); err != nil {
			return err
		}
	}
	if s.runningPID() == 0 {
		// Processes of an earlier server use the ports that this one needs.
		if err := s.killProcessGroup(ctx); err != nil {
			return err
		}
		if err := s.spawnProcess(exited); err != nil {
			return fmt.Errorf("start the SkyPilot API server: %w", err)
		}
		s.opts.Log.Info("started the SkyPilot API server", "endpoint", c.Endpoint, "log", s.logFilePath())
	}
	for {
		var h client.Health
		if _, last = c.TryCall(ctx, "/api/health", nil, &h); last == nil {
			return nil
		}
		select {
		case err := <-exited:
			return &cloud.Error{Kind: cloud.Unreachable, Cause: err, Message: fmt.Sprintf(
				"the SkyPilot API server exited while it was starting (if a port is in use, choose others with "+
					"skypilot.port); the last lines of its log (%s):\n%s", s.logFilePath(), s.lastLogLines())}
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return &cloud.Error{Kind: cloud.Transient, Cause: errors.Join(context.Cause(ctx), last),
				Message: fmt.Sprintf(
					"the SkyPilot API server does not answer at %s; the last lines of its log (%s):\n%s", c.Endpoint,
					s.logFilePath(), s.lastLogLines())}
		}
	}
}

func (s *Server) spawnProcess(exited chan<- error) error {
	const maxLogSize = 16 << 20
	if info, err := os.Stat(s.logFilePath()); err == nil && info.Size() > maxLogSize {
		if err := os.Rename(s.logFilePath(), s.logFilePath()+".1"); err != nil {
			return err
		}
	}
	out, err := os.OpenFile(s.logFilePath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(s.env.Python, "-m", "sky.server.server", "--host", "127.0.0.1", "--port",
		strconv.Itoa(s.env.Port))
	cmd.Env, cmd.Dir = s.env.Variables(), s.env.Dir
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a signal that ends this process must not end the server
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { exited <- cmd.Wait() }()
	return venv.WriteFile(s.pidFilePath(), []byte(strconv.Itoa(cmd.Process.Pid)+"\n"))
}

// Stop stops the server with its workers. It cuts off running launches; their machines stay.
func (s *Server) Stop(ctx context.Context) error {
	if _, err := os.Stat(s.pidFilePath()); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	unlock, err := filelock.Acquire(ctx, s.lockFilePath()) // keeps others from starting it meanwhile
	if err != nil {
		return fmt.Errorf("stop the SkyPilot API server: %w", err)
	}
	defer unlock()
	if pid := s.runningPID(); pid != 0 {
		_ = syscall.Kill(pid, syscall.SIGTERM)
	}
	for deadline := time.Now().Add(stopTimeout); s.runningPID() != 0 && time.Now().Before(deadline); {
		if err := await.Pause(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("stop the SkyPilot API server: %w", err)
		}
	}
	return s.killProcessGroup(ctx)
}

// killProcessGroup kills what is left of our server's process group: its workers outlive it and continue to listen. The
// id of the group is the server's, which leads a session of its own; no other process gets that id while the group
// exists.
func (s *Server) killProcessGroup(ctx context.Context) error {
	data, err := os.ReadFile(s.pidFilePath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid <= 1 {
		return os.Remove(s.pidFilePath())
	}
	if s.runningPID() != 0 || !processExists(pid) {
		if err := killGroup(ctx, pid); err != nil {
			return fmt.Errorf("kill the SkyPilot API server's processes (group %d): %w", pid, err)
		}
	}
	return os.Remove(s.pidFilePath())
}

// killGroup kills a process group and waits until it is gone, even if the caller's context has ended.
func killGroup(ctx context.Context, pgid int) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killTimeout)
	defer cancel()
	signal := syscall.SIGKILL
	return await.Condition(ctx, 10*time.Millisecond, func() (bool, error) {
		err := syscall.Kill(-pgid, signal)
		signal = 0
		if errors.Is(err, syscall.ESRCH) {
			return true, nil
		}
		return false, err
	})
}

func processExists(pid int) bool { return syscall.Kill(pid, 0) == nil }

func (s *Server) lastLogLines() string {
	const readSize, lineCount = 8 << 10, 15
	data, err := os.ReadFile(s.logFilePath())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(logtext.StripEscapes(string(data[max(0, len(data)-readSize):]))), "\n")
	return strings.Join(lines[max(0, len(lines)-lineCount):], "\n")
}
