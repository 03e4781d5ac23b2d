package rke2

import (
	"errors"
	"fmt"
)

// The kinds of errors, which are also their reasons.
const (
	// BadArtifacts: the source lacks the files of the release or their checksums.
	BadArtifacts = "BadArtifacts"
	// SourceUnreachable: the source did not answer; a retry may succeed.
	SourceUnreachable = "SourceUnreachable"
	// ChecksumMismatch: a tarball has another checksum than the pinned one; it was not unpacked.
	ChecksumMismatch = "ChecksumMismatch"
	// WrongVersion: the installed program has another version than requested.
	WrongVersion = "WrongVersion"
	// Unsupported: RKE2 cannot run on the machine (no systemd, another architecture, no curl).
	Unsupported = "Unsupported"
	// NoFacts: the machine did not report its properties.
	NoFacts = "NoFacts"
	// ClockSkew: the machine's clock differs too much from skyd's.
	ClockSkew = "ClockSkew"
	// DiskTooFull: the kubelet would evict pods because the disk is too full.
	DiskTooFull = "DiskTooFull"
	// MachineUnfit: something about the machine keeps it from being a node, as its message says.
	MachineUnfit = "MachineUnfit"
	// InstallFailed: unpacking failed on the machine.
	InstallFailed = "InstallFailed"
	// UnitFailed: the unit failed or keeps crashing.
	UnitFailed = "UnitFailed"
	// KubeletFailed: the kubelet exits again and again.
	KubeletFailed = "KubeletFailed"
	// ComponentFailed: a component that RKE2 runs as a static pod refuses its arguments.
	ComponentFailed = "ComponentFailed"
	// WrongToken: the head rejects the worker's token.
	WrongToken = "WrongToken"
	// WrongCA: the head has another CA than the one that the token pins.
	WrongCA = "WrongCA"
	// DuplicateNode: the cluster has a node with the same name and another password.
	DuplicateNode = "DuplicateNode"
	// PortClosed: a machine cannot reach a port on which another machine listens.
	PortClosed = "PortClosed"
	// NoRoom: the machine has too little room for a restore, or its disk became full.
	NoRoom = "NoRoom"
	// SnapshotMissing: the snapshot of a restore is not on the machine; SnapshotDamaged: RKE2 cannot read it.
	SnapshotMissing = "SnapshotMissing"
	SnapshotDamaged = "SnapshotDamaged"
	// NewerCredentials: the machine has newer certificates than the snapshot, so the server does not start.
	NewerCredentials = "NewerCredentials"
	// ResetFailed: RKE2 could not restore a snapshot for another reason, or move its etcd to another address.
	ResetFailed = "ResetFailed"
	// Deadline: a condition was not met in time.
	Deadline = "Deadline"
)

// Error is a failure to install or start RKE2 on a machine.
type Error struct {
	// Kind is one of the constants above.
	Kind    string
	Machine string
	Message string
	// Lines holds the last lines of the unit's journal and of the components' logs, without secrets.
	Lines []string
	// Permanent means that a retry is useless.
	Permanent bool
	Cause     error
}

func (e *Error) Error() string {
	s := e.Message
	if e.Machine != "" {
		s = fmt.Sprintf("machine %s: %s", e.Machine, e.Message)
	}
	if e.Cause != nil && e.Kind != Deadline { // the message already says "deadline exceeded"
		s += ": " + e.Cause.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Cause }

// Reason returns the kind of the error.
func (e *Error) Reason() string { return e.Kind }

// Log returns the last lines of the logs.
func (e *Error) Log() []string { return e.Lines }

// Final reports whether the step must not run again. Only an unreachable source is worth another run: callers have
// already retried everything else.
func (e *Error) Final() bool { return e.Permanent || e.Kind != SourceUnreachable }

// IsFinal reports whether a retry is useless.
func IsFinal(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Permanent
}

// kindOf returns the kind of an *Error, or "" for other errors.
func kindOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}
