package rke2

import (
	"errors"
	"fmt"
)

// The kinds of errors: what an Error gives as its reason.
const (
	// BadArtifacts: the source lacks the release's files or their checksums.
	BadArtifacts = "BadArtifacts"
	// SourceUnreachable: the source did not answer; worth trying again.
	SourceUnreachable = "SourceUnreachable"
	// ChecksumMismatch: a tarball is not what was pinned; nothing of it was unpacked.
	ChecksumMismatch = "ChecksumMismatch"
	// WrongVersion: the installed program is of another version than was asked for.
	WrongVersion = "WrongVersion"
	// Unsupported: the machine can't run RKE2 as we install it (no systemd, another architecture, no curl).
	Unsupported = "Unsupported"
	// NoFacts: the machine does not say what it is.
	NoFacts = "NoFacts"
	// ClockSkew: the machine's clock is far from ours.
	ClockSkew = "ClockSkew"
	// DiskTooFull: the kubelet would evict pods for want of room on the machine's disk.
	DiskTooFull = "DiskTooFull"
	// InstallFailed: unpacking failed on the machine.
	InstallFailed = "InstallFailed"
	// UnitFailed: the unit failed or falls over again and again.
	UnitFailed = "UnitFailed"
	// WrongToken: the head refuses the token that the worker shows.
	WrongToken = "WrongToken"
	// WrongCA: the head has another CA than the token pins.
	WrongCA = "WrongCA"
	// DuplicateNode: the cluster knows a node of that name with another password.
	DuplicateNode = "DuplicateNode"
	// PortClosed: a machine can't reach a port of another one that listens there.
	PortClosed = "PortClosed"
	// Deadline: the time ran out while a condition was not met.
	Deadline = "Deadline"
)

// Error says why RKE2 could not be brought on its way on a machine.
type Error struct {
	// Kind is one of the constants above.
	Kind    string
	Machine string
	Message string
	// Lines holds the last lines of the unit's journal, free of secrets.
	Lines []string
	// Permanent says that trying the same again is of no use.
	Permanent bool
	Cause     error
}

func (e *Error) Error() string {
	s := e.Message
	if e.Machine != "" {
		s = fmt.Sprintf("machine %s: %s", e.Machine, e.Message)
	}
	if e.Cause != nil && e.Kind != Deadline { // whose message says more than "deadline exceeded"
		s += ": " + e.Cause.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Cause }

// Reason is the error's kind.
func (e *Error) Reason() string { return e.Kind }

// Log returns the last lines of the unit's journal.
func (e *Error) Log() []string { return e.Lines }

// Final reports whether the step must not run again. Only a source that does not answer is worth another run: callers
// have repeated everything else often enough.
func (e *Error) Final() bool { return e.Permanent || e.Kind != SourceUnreachable }

// IsFinal says that trying the same again is of no use.
func IsFinal(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Permanent
}

// kindOf is an error's kind; "" where it is none of ours.
func kindOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}
