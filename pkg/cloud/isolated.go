package cloud

import "context"

// Isolator is a Cloud that can run a machine apart from everything else for a while, such as for the restore of a
// snapshot that must reach nothing.
type Isolator interface {
	// RunIsolated launches a machine on a network of its own without a way out, calls a function once the machine
	// answers SSH, and removes both, whatever the function returns. One machine runs at a time: others wait. What a
	// killed process left is removed first. If the cloud cannot do it here at all, the error is an
	// *IsolationError.
	RunIsolated(ctx context.Context, req IsolatedRequest, progress func(string),
		use func(context.Context, Machine) error) error
	// RemoveLeftIsolated removes the machines that killed processes left, and none that is in use.
	RemoveLeftIsolated(ctx context.Context)
}

// IsolatedRequest is a request for an isolated machine. What is written below MemoryDirs or /tmp never reaches a disk.
type IsolatedRequest struct {
	Owner Owner
	Name  string
	// MemoryGiB includes what is written below MemoryDirs.
	MemoryGiB float64
	// MemoryDirs are kept in memory, and DiskDirs, which may lie below them, on the disk of the cloud.
	MemoryDirs, DiskDirs []string
	// AuthorizedKey may log in, in authorized_keys form. HostKey is the private SSH host key (OpenSSH PEM).
	AuthorizedKey string
	HostKey       []byte
}

// IsolationError says that there is nothing here that could run an isolated machine.
type IsolationError struct{ Cause error }

func (e *IsolationError) Error() string {
	return "a snapshot is verified on a Docker host of this computer, and none can be started: " + e.Cause.Error()
}

func (e *IsolationError) Unwrap() error { return e.Cause }

// Reason is NoDocker.
func (e *IsolationError) Reason() string { return "NoDocker" }

// Final is true: a person has to install or start a Docker engine.
func (e *IsolationError) Final() bool { return true }
