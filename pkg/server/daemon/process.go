package daemon

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/regularfile"
)

const (
	pollInterval = 25 * time.Millisecond
	startTimeout = time.Minute
	// checkInterval is the time between two looks at the service that starts skyd dev.
	checkInterval = time.Second
	// stopTimeout leaves room for the worker's own 30 seconds.
	stopTimeout = 45 * time.Second

	logTailLines = 20       // lines of the log in an error
	logTailBytes = 64 << 10 // bytes of the log that are read for these lines
	logMaxBytes  = 8 << 20  // size above which a start moves the log aside
)

// EnsureRunning returns the state of the skyd dev of this state directory and starts one in the background if none
// runs. Any number of processes can call it at once: one starts skyd dev, the others wait for it. If skyd dev cannot
// start, the error has the last lines of its log.
func EnsureRunning(ctx context.Context, c *config.Config, skydPath string) (State, error) {
	if c.IsExternal() {
		return State{}, errors.New("an external etcd and Temporal are configured: skyd dev cannot use them")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout,
		fmt.Errorf("not ready after %v; its log is %s", startTimeout, c.LogFile()))
	defer cancel()
	s, err := FindRunning(c)
	if !errors.Is(err, ErrNotRunning) && !errors.Is(err, ErrNotReady) {
		return s, err
	}
	if err := config.MakeDir(c.Dir); err != nil {
		return State{}, err
	}
	startLock, err := pollForValue(ctx, func() (*Lock, bool, error) {
		l, err := AcquireLock(filepath.Join(c.Dir, "start.lock"))
		return l, !errors.Is(err, ErrHeld), err
	})
	if err != nil {
		return State{}, fmt.Errorf("waiting for another program that starts skyd dev: %w", err)
	}
	defer func() { _ = startLock.Release() }()
	for {
		s, err = FindRunning(c)
		if errors.Is(err, ErrNotReady) { // another skyd dev is starting or stopping
			s, err = awaitReady(ctx, c, s.PID)
		}
		if !errors.Is(err, ErrNotRunning) {
			return s, err
		}
		// A skyd dev that a user starts in between takes the lock: ours then exits, and the loop finds the other.
		if s, err = startProcess(ctx, c, skydPath); !errors.Is(err, ErrNotReady) {
			return s, err
		}
	}
}

// awaitReady waits for a skyd dev that another program started.
func awaitReady(ctx context.Context, c *config.Config, pid int) (State, error) {
	s, err := pollForValue(ctx, func() (State, bool, error) {
		s, err := FindRunning(c)
		return s, !errors.Is(err, ErrNotReady), err
	})
	if ctx.Err() != nil {
		return s, fmt.Errorf("waiting for skyd dev (process %d): %w", pid, err)
	}
	return s, err
}

func startProcess(ctx context.Context, c *config.Config, skydPath string) (State, error) {
	fail := func(err error) (State, error) { return State{}, fmt.Errorf("starting skyd dev: %w", err) }
	log, err := openLog(c.LogFile())
	if err != nil {
		return fail(err)
	}
	defer func() { _ = log.Close() }()
	from, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return fail(err)
	}
	args := []string{"dev"}
	if c.NewSecretsKey {
		args = append(args, "--new-secrets-key")
	}
	cmd := exec.Command(skydPath, args...) // not CommandContext: it outlives this program
	cmd.Dir = c.Dir
	cmd.Env = append(os.Environ(), c.DevEnviron()...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fail(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	s, err := pollForValue(ctx, func() (State, bool, error) {
		s, err := FindRunning(c)
		if err == nil {
			return s, true, nil
		}
		select {
		case end := <-ended:
			if s.PID != 0 && s.PID != cmd.Process.Pid {
				return s, true, ErrNotReady
			}
			return s, true, fmt.Errorf("it exited (%v) with this output:\n%s", end, readLogTail(c.LogFile(), from))
		default:
			return s, false, err
		}
	})
	if err != nil && !errors.Is(err, ErrNotReady) {
		return fail(err)
	}
	return s, err
}

// AwaitReady waits for the skyd dev that a service manager starts. check, which is called about once a second, reports
// that it has failed.
func AwaitReady(ctx context.Context, c *config.Config, check func() error) (State, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not ready after %v", startTimeout))
	defer cancel()
	next := time.Now().Add(checkInterval)
	return pollForValue(ctx, func() (State, bool, error) {
		s, err := FindRunning(c)
		if !errors.Is(err, ErrNotRunning) && !errors.Is(err, ErrNotReady) {
			return s, true, err
		}
		if time.Now().Before(next) {
			return s, false, err
		}
		next = time.Now().Add(checkInterval)
		if failed := check(); failed != nil {
			return s, true, failed
		}
		return s, false, err
	})
}

// Stop stops the skyd dev of this state directory and returns when it is gone. It succeeds if none runs.
func Stop(ctx context.Context, c *config.Config) error {
	ctx, cancel := context.WithTimeoutCause(ctx, stopTimeout, fmt.Errorf("still running after %v", stopTimeout))
	defer cancel()
	// The lock identifies the process: a process id from a file may belong to another program by now.
	pid, err := FindLockHolder(c.LockFile())
	if err != nil || pid == 0 {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stopping skyd dev (process %d): %w", pid, err)
	}
	_, err = pollForValue(ctx, func() (int, bool, error) {
		now, err := FindLockHolder(c.LockFile())
		return now, err == nil && now != pid, err
	})
	if err != nil {
		return fmt.Errorf("stopping skyd dev (process %d): %w; its log is %s", pid, err, c.LogFile())
	}
	return nil
}

// pollForValue calls ask until it reports that it is done. Then, or when the context ends, it returns the last value;
// the error is that of the last call, or the context's cause.
func pollForValue[T any](ctx context.Context, ask func() (value T, done bool, err error)) (value T, err error) {
	waitErr := await.Condition(ctx, pollInterval, func() (done bool, _ error) {
		value, done, err = ask()
		return done, nil
	})
	return value, cmp.Or(waitErr, err)
}

func openLog(name string) (*os.File, error) {
	if info, err := os.Stat(name); err == nil && info.Size() > logMaxBytes {
		if err := os.Rename(name, name+".old"); err != nil {
			return nil, err
		}
	}
	return regularfile.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

// readLogTail returns the last lines that were written to a log after an offset, without duplicates.
func readLogTail(name string, from int64) string {
	f, err := regularfile.Open(name)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }() // only read from
	if info, err := f.Stat(); err == nil {
		from = max(from, info.Size()-logTailBytes)
	}
	data, err := io.ReadAll(io.NewSectionReader(f, from, logTailBytes))
	if err != nil {
		return err.Error()
	}
	data = bytes.TrimSpace(data)
	if len(data) == 0 {
		return "(none)"
	}
	lines := distinctLines(strings.Split(string(data), "\n"))
	return strings.Join(lines[max(0, len(lines)-logTailLines):], "\n")
}

// distinctLines drops repeated lines: an error may be logged where it occurs and again when the program exits with it.
func distinctLines(lines []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(lines, func(line string) bool {
		message := strings.TrimPrefix(line, binaryName+": ")
		repeated := message != "" && seen[message]
		seen[message] = true
		return repeated
	})
}
