package skypilot

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
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

	"github.com/sky-shift/skyctl/pkg/cloud"
)

//go:embed python/skyctl_lean.py
var leanPlugin []byte

const leanClass = "skyctl_lean.Plugin"

//go:embed python/skyctl_loopback.py
var loopbackPlugin []byte

const loopbackClass = "skyctl_loopback.Plugin"

// startTimeout is how long a local server may take to answer; five seconds are usual, on a loaded machine more.
const startTimeout = 2 * time.Minute

// One that ends while it is starting is started again, maxStartTries times in all.
const (
	maxStartTries = 3
	restartDelay  = 2 * time.Second
)

// stopTimeout is how long it may take to end by itself; it does not wait for a launch in truth, only for its
// connections.
const stopTimeout = 3 * time.Second

// localServer is the local API server: a process of its own, which outlives whoever started it.
type localServer struct {
	opts     Options
	log      *slog.Logger
	starting chan struct{} // holds one who starts it within this process
}

func (s *localServer) pidFilePath() string  { return filepath.Join(s.opts.Dir, "server.pid") }
func (s *localServer) logFilePath() string  { return filepath.Join(s.opts.Dir, "server.log") }
func (s *localServer) lockFilePath() string { return filepath.Join(s.opts.Dir, "server.lock") }

// ensureRunning starts the server where it does not answer. Two processes that do so at once are told apart by a lock.
func (s *localServer) ensureRunning(ctx context.Context, c *serverClient) error {
	select {
	case s.starting <- struct{}{}:
		defer func() { <-s.starting }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if found, err := s.isAnswering(ctx, c); err != nil || found {
		return err
	}
	if err := s.opts.checkInstalled(); err != nil {
		return err
	}
	if err := s.writeServerFiles(); err != nil {
		return fmt.Errorf("start the SkyPilot API server: %w", err)
	}
	unlock, err := acquireFileLock(ctx, s.lockFilePath())
	if err != nil {
		return fmt.Errorf("start the SkyPilot API server: %w", err)
	}
	defer unlock()
	if found, err := s.isAnswering(ctx, c); err != nil || found {
		return err
	}
	return s.startWithRetries(ctx, c)
}

// isAnswering says whether our server is there. Another one on our port is an error: its machines would not be ours.
func (s *localServer) isAnswering(ctx context.Context, c *serverClient) (bool, error) {
	few, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var h serverHealth
	_, err := c.tryCallServer(few, "/api/health", nil, &h)
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	if pid := s.runningPID(); pid != 0 {
		// It may be starting still, or be too busy to answer soon.
		return err == nil, nil
	}
	if err == nil || !isUnreachable(err) {
		return false, &cloud.Error{Kind: cloud.Conflict, Message: fmt.Sprintf(
			"another server answers at %s, where the SkyPilot API server of %s should: choose another port for it "+
				"(skypilot.port), or end the other one",
			c.endpoint, s.opts.Dir)}
	}
	return false, nil
}

// runningPID of our server; 0 where it does not run.
func (s *localServer) runningPID() int {
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
		return 0 // the number was given to somebody else
	}
	return pid
}

// startWithRetries runs the server and waits until it answers. One that ends meanwhile is run again: a port that it
// needs besides its own may have been somebody's for a moment.
func (s *localServer) startWithRetries(ctx context.Context, c *serverClient) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for n := 1; ; n++ {
		err := s.tryStart(ctx, c)
		if cloud.KindOf(err) != cloud.Unreachable || n == maxStartTries {
			return err
		}
		s.log.Warn("the SkyPilot API server is started again", "error", err)
		if sleepWithContext(ctx, restartDelay) != nil {
			return err
		}
	}
}

// tryStart is Unreachable where the server ended.
func (s *localServer) tryStart(ctx context.Context, c *serverClient) error {
	var last error
	exited := make(chan error, 1)
	if s.runningPID() == 0 {
		// What an earlier one left behind holds the ports that this one needs.
		if err := s.killProcessGroup(); err != nil {
			return err
		}
		if err := s.spawnProcess(exited); err != nil {
			return fmt.Errorf("start the SkyPilot API server: %w", err)
		}
		s.log.Info("started the SkyPilot API server", "endpoint", c.endpoint, "log", s.logFilePath())
	}
	for {
		var h serverHealth
		if _, last = c.tryCallServer(ctx, "/api/health", nil, &h); last == nil {
			return nil
		}
		select {
		case err := <-exited:
			return &cloud.Error{Kind: cloud.Unreachable, Cause: err, Message: fmt.Sprintf(
				"the SkyPilot API server ended while it was starting (where a port is taken, skypilot.port chooses "+
					"others); its log (%s) said last:\n%s", s.logFilePath(), s.lastLogLines())}
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return &cloud.Error{Kind: cloud.Transient, Cause: errors.Join(context.Cause(ctx), last),
				Message: fmt.Sprintf(
					"the SkyPilot API server does not answer at %s; its log (%s) said last:\n%s", c.endpoint,
					s.logFilePath(), s.lastLogLines())}
		}
	}
}

func (s *localServer) spawnProcess(exited chan<- error) error {
	const most = 16 << 20
	if info, err := os.Stat(s.logFilePath()); err == nil && info.Size() > most {
		if err := os.Rename(s.logFilePath(), s.logFilePath()+".1"); err != nil {
			return err
		}
	}
	out, err := os.OpenFile(s.logFilePath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(s.opts.Python, "-m", "sky.server.server", "--host", "127.0.0.1", "--port",
		strconv.Itoa(s.opts.Port))
	cmd.Env, cmd.Dir = s.opts.pythonEnviron(), s.opts.Dir
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // what ends us shall not end it
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { exited <- cmd.Wait() }()
	return writeFileAtomically(s.pidFilePath(), []byte(strconv.Itoa(cmd.Process.Pid)+"\n"))
}

// stopProcess ends the server with its workers; a launch under way is cut off, its machine goes on.
func (s *localServer) stopProcess(ctx context.Context) error {
	if _, err := os.Stat(s.pidFilePath()); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	unlock, err := acquireFileLock(ctx, s.lockFilePath()) // nobody starts one meanwhile
	if err != nil {
		return fmt.Errorf("stop the SkyPilot API server: %w", err)
	}
	defer unlock()
	if pid := s.runningPID(); pid != 0 {
		_ = syscall.Kill(pid, syscall.SIGTERM)
	}
	for give := time.Now().Add(stopTimeout); s.runningPID() != 0 && time.Now().Before(give); {
		if err := sleepWithContext(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("stop the SkyPilot API server: %w", err)
		}
	}
	return s.killProcessGroup()
}

// killProcessGroup ends whatever is left of our server's process group: its workers outlive it, and go on listening.
// The group has the number of the server, which leads a session of its own; nobody else gets that number while the
// group is there.
func (s *localServer) killProcessGroup() error {
	data, err := os.ReadFile(s.pidFilePath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid <= 1 {
		return os.Remove(s.pidFilePath())
	}
	if s.runningPID() != 0 || !processExists(pid) {
		err := syscall.Kill(-pid, syscall.SIGKILL)
		for err == nil {
			time.Sleep(10 * time.Millisecond) // a killed process is gone in moments
			err = syscall.Kill(-pid, 0)
		}
		if !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("end the SkyPilot API server's processes (group %d): %w", pid, err)
		}
	}
	return os.Remove(s.pidFilePath())
}

func processExists(pid int) bool { return syscall.Kill(pid, 0) == nil }

// StopServer ends the local server; it is a success where none runs, or where the server is remote.
func (c *Cloud) StopServer(ctx context.Context) error {
	if c.server == nil {
		return nil
	}
	return c.server.stopProcess(ctx)
}

// writeServerFiles writes what the server reads: its plugins, and a configuration for people to write in.
func (s *localServer) writeServerFiles() error {
	o := s.opts
	for _, dir := range []string{o.Dir, o.runtimeDir(), o.pluginDir()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	var list strings.Builder
	list.WriteString("plugins:\n")
	for _, class := range o.Plugins {
		fmt.Fprintf(&list, "  - class: %s\n", class)
	}
	if !o.FullRuntime { // last, so that it finds the provisioners of the others
		fmt.Fprintf(&list, "  - class: %s\n", leanClass)
	}
	fmt.Fprintf(&list, "  - class: %s\n", loopbackClass)
	for name, text := range map[string][]byte{"skyctl_lean.py": leanPlugin, "skyctl_loopback.py": loopbackPlugin} {
		if err := writeFileAtomically(filepath.Join(o.pluginDir(), name), text); err != nil {
			return err
		}
	}
	if err := writeFileAtomically(o.pluginsFilePath(), []byte(list.String())); err != nil {
		return err
	}
	if _, err := os.Stat(o.configFilePath()); err == nil {
		return nil
	}
	return writeFileAtomically(o.configFilePath(),
		[]byte("# SkyPilot's configuration for the machines of skyctl; that of your own sky is in "+
			"~/.sky/config.yaml.\n{}\n"))
}

func (o Options) runtimeDir() string      { return filepath.Join(o.Dir, "state") }
func (o Options) pluginDir() string       { return filepath.Join(o.Dir, "plugins") }
func (o Options) pluginsFilePath() string { return filepath.Join(o.Dir, "plugins.yaml") }
func (o Options) configFilePath() string  { return filepath.Join(o.Dir, "config.yaml") }

// checkInstalled says whether SkyPilot is installed.
func (o Options) checkInstalled() error {
	if _, err := os.Stat(o.Python); err != nil {
		return &cloud.Error{Kind: cloud.Access, Cause: err, Message: fmt.Sprintf(
			"SkyPilot is not installed for skyctl: run 'make skypilot', which puts SkyPilot %s into %s", Version,
			filepath.Join(o.Dir, "venv"))}
	}
	if _, err := exec.LookPath("rsync"); err != nil {
		return &cloud.Error{Kind: cloud.Access, Cause: err,
			Message: "SkyPilot needs rsync on this machine: install it (apt-get install rsync openssh-client)"}
	}
	return nil
}

// pythonEnviron is the environment of the server and the bridge: the clouds' credentials are found as always, while
// nothing of the person's own SkyPilot is.
func (o Options) pythonEnviron() []string {
	env := make([]string, 0, len(os.Environ())+16)
	for _, kv := range os.Environ() {
		if strings.HasPrefix(kv, "SKYPILOT_") || strings.HasPrefix(kv, "SKY_") || strings.HasPrefix(kv, "PYTHON") {
			continue
		}
		env = append(env, kv)
	}
	endpoint := cmp.Or(o.Endpoint, "http://127.0.0.1:"+strconv.Itoa(o.Port))
	env = append(bypassLocalProxy(env),
		"SKY_RUNTIME_DIR="+o.runtimeDir(),
		"SKYPILOT_API_SERVER_LOCAL_PORT="+strconv.Itoa(o.Port),
		"SKYPILOT_API_SERVER_ENDPOINT="+endpoint, // wins over the one in a configuration
		"SKYPILOT_SERVER_PLUGINS_CONFIG="+o.pluginsFilePath(),
		"PYTHONPATH="+o.pluginDir(),
		"PYTHONUNBUFFERED=1",
	)
	// SkyPilot takes a file that it is told of and can't find for an error
	if _, err := os.Stat(o.configFilePath()); err == nil {
		env = append(env, "SKYPILOT_GLOBAL_CONFIG="+o.configFilePath())
	}
	if !o.Usage {
		env = append(env, "SKYPILOT_DISABLE_USAGE_COLLECTION=1")
	}
	for _, kv := range o.Env {
		if more, ok := strings.CutPrefix(kv, "PYTHONPATH="); ok {
			kv = "PYTHONPATH=" + o.pluginDir() + string(os.PathListSeparator) + more
		}
		env = append(env, kv)
	}
	return env
}

func (s *localServer) lastLogLines() string {
	const most = 8 << 10
	data, err := os.ReadFile(s.logFilePath())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(stripEscapes(string(data[max(0, len(data)-most):]))), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}
