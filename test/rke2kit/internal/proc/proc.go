// Package proc runs a node's components as child processes: it restarts them when
// they exit, and finds those that a killed supervisor left behind.
package proc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/logline"
)

const (
	firstBackoff = 500 * time.Millisecond
	maxBackoff   = 5 * time.Second
	// steadyAfter is how long a component has to run for its failures to be forgotten.
	steadyAfter = 30 * time.Second
	// pipeDelay is how long the last lines of a component that exited are waited for.
	pipeDelay = 5 * time.Second
	// logLimit is the size above which a component's log is truncated at a start.
	logLimit = 8 << 20
)

// Spec is one component.
type Spec struct {
	Name string // also the name of its pid and log files
	Path string
	Args []string
	Env  []string // added to the supervisor's own
	Log  string
	// PodLog writes the log in the form of a container's, as for a component that RKE2 runs as a static pod. Not for
	// a component whose children outlive it.
	PodLog bool
	// Every is how often the component is started, at most, and its exits are logged as RKE2 logs the kubelet's. 0 is
	// the kit's own growing interval.
	Every time.Duration
}

// Group is the set of components one supervisor runs.
type Group struct {
	pidDir string
	mu     sync.Mutex
	kids   []*component
}

type component struct {
	spec   Spec
	cancel context.CancelFunc
	done   chan struct{}
	mu     sync.Mutex
	cmd    *exec.Cmd
	log    io.Closer
}

// NewGroup keeps pid files in pidDir.
func NewGroup(pidDir string) (*Group, error) {
	if err := os.MkdirAll(pidDir, 0o700); err != nil {
		return nil, fmt.Errorf("create directory for pid files: %w", err)
	}
	return &Group{pidDir: pidDir}, nil
}

// Start runs a component until Stop. The first start's error is returned; later
// exits are logged and the component is restarted.
func (g *Group) Start(ctx context.Context, spec Spec) error {
	ctx, cancel := context.WithCancel(ctx)
	c := &component{spec: spec, cancel: cancel, done: make(chan struct{})}
	if err := c.startProcess(g.pidDir); err != nil {
		cancel()
		return err
	}
	g.mu.Lock()
	g.kids = append(g.kids, c)
	g.mu.Unlock()
	logline.Infof("Running %s with %s", spec.Name, strings.Join(spec.Args, " "))
	go c.keepRunning(ctx, g.pidDir)
	return nil
}

func (c *component) startProcess(pidDir string) error {
	dirMode, fileMode := os.FileMode(0o700), os.FileMode(0o600)
	if c.spec.PodLog {
		dirMode, fileMode = 0o755, 0o640 // those of the kubelet and containerd
	}
	if err := os.MkdirAll(filepath.Dir(c.spec.Log), dirMode); err != nil {
		return fmt.Errorf("create log directory of %s: %w", c.spec.Name, err)
	}
	mode := os.O_APPEND
	if info, err := os.Stat(c.spec.Log); err == nil && info.Size() > logLimit {
		mode = os.O_TRUNC
	}
	log, err := os.OpenFile(c.spec.Log, os.O_CREATE|os.O_WRONLY|mode, fileMode)
	if err != nil {
		return fmt.Errorf("open log of %s: %w", c.spec.Name, err)
	}
	cmd := exec.Command(c.spec.Path, c.spec.Args...)
	var out io.Writer = log
	if c.spec.PodLog {
		out = &containerLog{out: log}
		// A pipe carries the lines: it is not held open by what a component left running.
		cmd.WaitDelay = pipeDelay
	}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(componentEnv(), c.spec.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		log.Close()
		return fmt.Errorf("start %s: %w", c.spec.Name, err)
	}
	c.mu.Lock()
	c.cmd, c.log = cmd, log
	c.mu.Unlock()
	return writePidFile(pidDir, c.spec.Name, cmd.Process.Pid)
}

// componentEnv omits the variables that systemd set for the supervisor only: etcd and
// the apiserver would report READY in its name.
func componentEnv() []string {
	var out []string
	for _, kv := range os.Environ() {
		if strings.HasPrefix(kv, "NOTIFY_SOCKET=") || strings.HasPrefix(kv, "RKE2_") {
			continue
		}
		out = append(out, kv)
	}
	return out
}

func (c *component) keepRunning(ctx context.Context, pidDir string) {
	defer close(c.done)
	backoff := firstBackoff
	for {
		started := time.Now()
		err := c.cmd.Wait()
		c.log.Close()
		if ctx.Err() != nil {
			return
		}
		if time.Since(started) > steadyAfter {
			backoff = firstBackoff
		}
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(c.reportExit(err, started, backoff)):
			}
			backoff = min(2*backoff, maxBackoff)
			started = time.Now()
			if err = c.startProcess(pidDir); err == nil {
				break
			}
		}
	}
}

// reportExit logs that the component exited and returns how long to wait before it is started again. The cause is in
// the component's own log only, as in RKE2.
func (c *component) reportExit(err error, started time.Time, backoff time.Duration) time.Duration {
	if c.spec.Every > 0 {
		logline.Errorf("%s exited: %v", strings.ToUpper(c.spec.Name[:1])+c.spec.Name[1:], err)
		return max(0, c.spec.Every-time.Since(started))
	}
	logline.Warnf("The kit starts %s again in %s: %v", c.spec.Name, backoff, err)
	return backoff
}

// Stop ends the named components, all at once, and waits for them: SIGTERM
// first, SIGKILL after the grace period.
func (g *Group) Stop(grace time.Duration, names ...string) {
	g.mu.Lock()
	var stopping []*component
	for _, c := range g.kids {
		for _, name := range names {
			if c.spec.Name == name {
				stopping = append(stopping, c)
			}
		}
	}
	g.mu.Unlock()
	for _, c := range stopping {
		c.cancel()
		c.sendSignal(syscall.SIGTERM)
	}
	deadline := time.After(grace)
	for _, c := range stopping {
		select {
		case <-c.done:
		case <-deadline:
			for _, late := range stopping {
				late.sendSignal(syscall.SIGKILL)
			}
			<-c.done
		}
		_ = os.Remove(pidFilePath(g.pidDir, c.spec.Name))
	}
}

func (c *component) sendSignal(sig syscall.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.cmd.Process.Signal(sig)
}

func pidFilePath(dir, name string) string { return filepath.Join(dir, name+".pid") }

// writePidFile stores the start time with the pid, because pids are reused.
func writePidFile(dir, name string, pid int) error {
	start, err := processStartTime(pid)
	if err != nil {
		return nil // it has exited, and Wait returns the reason
	}
	return os.WriteFile(pidFilePath(dir, name), fmt.Appendf(nil, "%d %s\n", pid, start), 0o600)
}

// processStartTime is field 22 of /proc/<pid>/stat, counted behind the command name,
// which may hold spaces.
func processStartTime(pid int) (string, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	_, rest, found := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	if !found || len(fields) < 20 || fields[0] == "Z" {
		return "", errors.New("no such process")
	}
	return fields[19], nil
}

// KillLeftovers kills the components that an earlier supervisor left running. They hold
// no state that SIGKILL would lose, and pods keep running without them.
func KillLeftovers(pidDir string) error {
	files, err := filepath.Glob(filepath.Join(pidDir, "*.pid"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if pid, ok := readLivePid(file); ok {
			logline.Infof("Stopping %s (pid %d) of an earlier start", strings.TrimSuffix(filepath.Base(file), ".pid"),
				pid)
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	deadline := time.Now().Add(10 * time.Second)
	for _, file := range files {
		for {
			pid, ok := readLivePid(file)
			if !ok {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("process %d of an earlier start does not end (%s)", pid, file)
			}
			time.Sleep(5 * time.Millisecond)
		}
		_ = os.Remove(file)
	}
	return nil
}

func readLivePid(file string) (int, bool) {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	fields := strings.Fields(string(data))
	if len(fields) != 2 {
		return 0, false
	}
	pid, err := strconv.Atoi(fields[0])
	if err != nil {
		return 0, false
	}
	start, err := processStartTime(pid)
	return pid, err == nil && start == fields[1]
}
