package rke2

import (
	"errors"
	"fmt"
)

// The reasons that an Error may have.
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
	// Reason is one of the constants above.
	Reason  string
	Machine string
	Message string
	// Log holds the last lines of the unit's journal, free of secrets.
	Log []string
	// Final says that trying the same again is of no use.
	Final bool
	Cause error
}

func (e *Error) Error() string {
	s := e.Message
	if e.Machine != "" {
		s = fmt.Sprintf("machine %s: %s", e.Machine, e.Message)
	}
	if e.Cause != nil && e.Reason != Deadline { // whose message says more than "deadline exceeded"
		s += ": " + e.Cause.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Cause }

// IsFinal says that trying the same again is of no use.
func IsFinal(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Final
}

// reasonOf is an error's reason; "" where it is none of ours.
func reasonOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}
