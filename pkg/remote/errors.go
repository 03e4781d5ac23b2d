package remote

import (
	"errors"
	"fmt"
	"strings"
)

// HostKeyMismatch says that a machine shows another host key than the pinned one. It is final: either the machine is
// not the one that was launched, or somebody is in between.
type HostKeyMismatch struct {
	Machine string
	// Want and Got are SHA256 fingerprints; Got is empty where the machine has no key of the pinned kind.
	Want, Got string
}

func (e *HostKeyMismatch) Error() string {
	got := "none of that kind"
	if e.Got != "" {
		got = e.Got
	}
	return fmt.Sprintf("machine %s shows another host key than the pinned %s: %s; it is not the machine that was "+
		"launched, or somebody is in between",
		e.Machine, e.Want, got)
}

// AuthFailed says that a machine refuses the key. It is final: trying again only provokes the machine's defences.
type AuthFailed struct {
	Machine, User string
	Cause         error
}

func (e *AuthFailed) Error() string {
	return fmt.Sprintf("machine %s refuses the key of user %s: %v; see that the cluster's public key is in that "+
		"user's authorized_keys",
		e.Machine, e.User, e.Cause)
}

func (e *AuthFailed) Unwrap() error { return e.Cause }

// RunError is a command that ran to its end and failed, or whose file was not what it should be.
type RunError struct {
	Machine string
	// Command is a short name, never the script.
	Command string
	// Exit is the exit status; -1 where a signal ended the command.
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

// ShellFailed says that the login shell of a machine did not run a command: it ended before that, or never got that
// far.
type ShellFailed struct {
	Machine, Command, User string
	// Exit is the exit status of the shell, or of what it ran instead; -1 where it did not end.
	Exit int
	// Said holds the last lines that it printed.
	Said []string
	// Cause says why it was not waited for; nil where it ended.
	Cause error
}

func (e *ShellFailed) Error() string {
	why := fmt.Sprintf("ended with exit status %d before it began the command", e.Exit)
	if e.Cause != nil {
		why = "was given up: " + e.Cause.Error()
	}
	s := fmt.Sprintf("machine %s: %s did not run: the login shell of user %s %s", e.Machine, e.Command, e.User, why)
	s += quoteShellOutput("", e.Said)
	s += "; see that 'ssh " + e.User + "@… true' works: what .bashrc, .profile or a forced command does must let " +
		"commands run"
	if e.User != "root" {
		s += ", and sudo must ask for no password"
	}
	return s
}

func (e *ShellFailed) Unwrap() error { return e.Cause }

// quoteShellOutput quotes what a login shell printed.
func quoteShellOutput(s string, said []string) string {
	if len(said) == 0 {
		return s
	}
	return s + " (it printed: " + strings.Join(said, "; ") + ")"
}

// OutputTooLong says that a command printed more than is ever asked for. The command was ended. It is final: it would
// print as much again.
type OutputTooLong struct {
	Machine, Command string
	// Past says which bound it went past.
	Past string
}

func (e *OutputTooLong) Error() string {
	return fmt.Sprintf("machine %s: %s printed %s and was ended; see on the machine what it prints", e.Machine,
		e.Command, e.Past)
}

// Lost says that the connection to a machine broke, or never came about. It is worth trying again.
type Lost struct {
	Machine string
	// Doing says what was under way.
	Doing string
	Cause error
}

func (e *Lost) Error() string { return fmt.Sprintf("machine %s: %s: %v", e.Machine, e.Doing, e.Cause) }

func (e *Lost) Unwrap() error { return e.Cause }

// ChecksumMismatch says that a local file is not what was asked for; it did not appear on the machine.
type ChecksumMismatch struct {
	Machine, Local string
	Want, Got      string
}

func (e *ChecksumMismatch) Error() string {
	return fmt.Sprintf("uploading %s to machine %s: its sha256 is %s, but %s was pinned; the file is damaged or "+
		"another one", e.Local, e.Machine, e.Got, e.Want)
}

// IsFinal says that trying the same again is of no use: the machine shows another host key or refuses the key.
func IsFinal(err error) bool {
	var key *HostKeyMismatch
	var auth *AuthFailed
	return errors.As(err, &key) || errors.As(err, &auth)
}

// IsLost says that the connection broke, so that nothing is known of what was done.
func IsLost(err error) bool {
	var lost *Lost
	return errors.As(err, &lost)
}
