package remote

import (
	"errors"
	"fmt"
	"strings"
)

// HostKeyMismatch means that a machine presents another host key than the pinned one. It is final: the machine is not
// the one that was launched, or the connection is intercepted.
type HostKeyMismatch struct {
	Machine string
	// Want and Got are SHA256 fingerprints; Got is empty if the machine has no key of the pinned type.
	Want, Got string
}

func (e *HostKeyMismatch) Error() string {
	got := "no key of this type"
	if e.Got != "" {
		got = e.Got
	}
	return fmt.Sprintf("machine %s has another host key than the pinned %s: %s; it is not the machine that was "+
		"launched, or the connection is intercepted", e.Machine, e.Want, got)
}

// AuthFailed means that a machine rejects the key. It is final: retries may trigger protections such as fail2ban.
type AuthFailed struct {
	Machine, User string
	Cause         error
}

func (e *AuthFailed) Error() string {
	return fmt.Sprintf("machine %s rejects the SSH key for user %s: %v; check that the cluster's public key is in "+
		"the user's authorized_keys", e.Machine, e.User, e.Cause)
}

func (e *AuthFailed) Unwrap() error { return e.Cause }

// RunError is a command that failed, or one whose file has the wrong content.
type RunError struct {
	Machine string
	// Command is a short name, never the script.
	Command string
	// Exit is the exit status; -1 if a signal terminated the command.
	Exit int
	// Tail holds the last lines that the command wrote to its standard error.
	Tail []string
}

func (e *RunError) Error() string {
	s := fmt.Sprintf("machine %s: %s failed with exit status %d", e.Machine, e.Command, e.Exit)
	if len(e.Tail) > 0 {
		s += ": " + strings.Join(e.Tail, "; ")
	}
	return s
}

// ShellFailed means that the login shell of a machine did not run a command: it exited first, or did not start the
// command in time.
type ShellFailed struct {
	Machine, Command, User string
	// Exit is the exit status of the shell, or of the program it executed instead; -1 if it did not exit.
	Exit int
	// Output holds the last lines that it printed.
	Output []string
	// Cause is the reason for giving up on the shell; nil if it exited.
	Cause error
}

func (e *ShellFailed) Error() string {
	why := fmt.Sprintf("exited with status %d before it started the command", e.Exit)
	if e.Cause != nil {
		why = "failed: " + e.Cause.Error()
	}
	s := fmt.Sprintf("machine %s: %s did not run: the login shell of user %s %s", e.Machine, e.Command, e.User, why)
	s += quoteShellOutput("", e.Output)
	s += "; check that 'ssh " + e.User + "@… true' works: .bashrc, .profile and forced commands must let commands run"
	if e.User != "root" {
		s += ", and sudo must not ask for a password"
	}
	return s
}

func (e *ShellFailed) Unwrap() error { return e.Cause }

// quoteShellOutput appends the output of a login shell to s.
func quoteShellOutput(s string, output []string) string {
	if len(output) == 0 {
		return s
	}
	return s + " (it printed: " + strings.Join(output, "; ") + ")"
}

// OutputTooLong means that a command printed more than the limit and was terminated. It is final: a retry would print
// as much again.
type OutputTooLong struct {
	Machine, Command string
	// Past describes the limit.
	Past string
}

func (e *OutputTooLong) Error() string {
	return fmt.Sprintf("machine %s: %s printed %s and was terminated; check its output on the machine", e.Machine,
		e.Command, e.Past)
}

// Lost means that the connection to a machine broke, or was not established. A retry may succeed.
type Lost struct {
	Machine string
	// Doing describes the operation that was running.
	Doing string
	Cause error
}

func (e *Lost) Error() string { return fmt.Sprintf("machine %s: %s: %v", e.Machine, e.Doing, e.Cause) }

func (e *Lost) Unwrap() error { return e.Cause }

// ChecksumMismatch means that a local file does not have the expected checksum; it was not stored on the machine.
type ChecksumMismatch struct {
	Machine, Local string
	Want, Got      string
}

func (e *ChecksumMismatch) Error() string {
	return fmt.Sprintf("uploading %s to machine %s: its sha256 is %s, expected %s; the file is damaged or has "+
		"changed", e.Local, e.Machine, e.Got, e.Want)
}

// IsFinal reports whether a retry is useless: the machine has another host key or rejects the key.
func IsFinal(err error) bool {
	var key *HostKeyMismatch
	var auth *AuthFailed
	return errors.As(err, &key) || errors.As(err, &auth)
}

// IsLost reports whether the connection broke, so that the result of the operation is unknown.
func IsLost(err error) bool {
	var lost *Lost
	return errors.As(err, &lost)
}
