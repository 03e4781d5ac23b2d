// Package service has the computer's service manager run the skyd of a state directory from boot on: systemd or, on
// macOS, launchd. Package unit renders the files.
package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// commandTimeout is how long a command of a service manager may take. A stop of skyd takes up to 45 seconds.
const commandTimeout = 90 * time.Second

// Computer is the part of a computer that services use.
type Computer struct {
	// OS is the operating system, as runtime.GOOS.
	OS string
	// Root precedes the paths of the system, such as /etc; it is empty outside tests.
	Root string
	// UID is the effective user, and Env looks up a variable of its environment.
	UID int
	Env func(string) string
	// Run runs a command, and returns what it prints on both outputs.
	Run func(ctx context.Context, argv, env []string) (string, error)
	// Stream runs a command that prints on these outputs, until it or the context ends.
	Stream func(ctx context.Context, argv, env []string, out, stderr io.Writer) error
}

// ThisComputer is the computer that this program runs on.
func ThisComputer(env func(string) string) *Computer {
	return &Computer{OS: runtime.GOOS, UID: os.Geteuid(), Env: env, Run: runCommand, Stream: streamCommand}
}

// UnsupportedError says that this computer has no service manager that skyctl can use.
type UnsupportedError struct{ Why string }

func (e *UnsupportedError) Error() string {
	return e.Why + ": start skyd with skyctl server start, after each boot"
}

// Reason is a word for programs.
func (e *UnsupportedError) Reason() string { return "NoServiceManager" }

// CommandError is a command of a service manager that failed.
type CommandError struct {
	Argv   []string
	Output string
	Err    error
}

func (e *CommandError) Error() string {
	text := fmt.Sprintf("%s: %v", strings.Join(e.Argv, " "), e.Err)
	if e.Output != "" {
		text += "\n" + e.Output
	}
	return text
}

func (e *CommandError) Unwrap() error { return e.Err }

// Reason is a word for programs.
func (e *CommandError) Reason() string { return "ServiceManagerFailed" }

// IsDenied reports whether the service manager asks for another user's rights.
func (e *CommandError) IsDenied() bool {
	text := strings.ToLower(e.Output)
	return strings.Contains(text, "authentication required") || strings.Contains(text, "access denied") ||
		strings.Contains(text, "permission denied")
}

func runCommand(ctx context.Context, argv, env []string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, commandTimeout, fmt.Errorf("no answer after %v", commandTimeout))
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...) //nolint:gosec // names of units and users are checked
	cmd.Env = append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	text := strings.TrimSpace(out.String())
	if err != nil {
		return text, &CommandError{Argv: argv, Output: text, Err: err}
	}
	return text, nil
}

func streamCommand(ctx context.Context, argv, env []string, out, stderr io.Writer) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...) //nolint:gosec // names of units are checked
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = out, stderr
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return &CommandError{Argv: argv, Err: err}
	}
	return nil
}

// findKind returns the kind of services that this computer can run: those of the system, or those of one user.
func (c *Computer) findKind(system bool) (kind, error) {
	switch {
	case c.OS == "darwin" && system:
		return "", &UnsupportedError{Why: "--system is for systemd, and this is macOS"}
	case c.OS == "darwin":
		return launchdUser, nil
	case c.OS != "linux":
		return "", &UnsupportedError{Why: "skyctl cannot install services on " + c.OS}
	}
	if !c.runsSystemd() {
		return "", &UnsupportedError{Why: "this computer does not run systemd"}
	}
	if system {
		return systemdSystem, nil
	}
	return systemdUser, nil
}

// runsSystemd reports whether systemd is the first process. Its directory, see sd_booted(3), can exist without it, and
// the name of the process can be hidden.
func (c *Computer) runsSystemd() bool {
	if _, err := os.Stat(filepath.Join(c.Root, "/run/systemd/system")); err != nil {
		return false
	}
	first, err := os.ReadFile(filepath.Join(c.Root, "/proc/1/comm"))
	return err != nil || strings.TrimSpace(string(first)) == "systemd"
}

// exists reports whether a file is there.
func exists(name string) (bool, error) {
	_, err := os.Stat(name)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
