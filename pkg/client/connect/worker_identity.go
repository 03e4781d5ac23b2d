package connect

import (
	"fmt"
	"strconv"

	"github.com/sky-shift/skyctl/pkg/lazyregexp"
)

// WorkerProcess is a process that runs operations, as its identity in Temporal describes it.
type WorkerProcess struct {
	// Version is empty if the worker is older than identities with a version.
	Version string `json:"version,omitempty"`
	PID     int    `json:"pid,omitempty"`
	Host    string `json:"host,omitempty"`
}

// identityForm matches what FormatWorkerIdentity returns, and the identities of older workers: skyd 7 on host.
var identityForm = lazyregexp.New(`^skyd (?:(\S+) \(process )?(\d+)\)? on (.+)$`)

// FormatWorkerIdentity returns the identity of a worker. It ends with the name of the host.
func FormatWorkerIdentity(w WorkerProcess) string {
	return fmt.Sprintf("skyd %s (process %d) on %s", w.Version, w.PID, w.Host)
}

// ParseWorkerIdentity reads an identity. ok is false if it is of another program.
func ParseWorkerIdentity(identity string) (w WorkerProcess, ok bool) {
	m := identityForm.FindStringSubmatch(identity)
	if m == nil {
		return w, false
	}
	pid, err := strconv.Atoi(m[2])
	return WorkerProcess{Version: m[1], PID: pid, Host: m[3]}, err == nil
}
