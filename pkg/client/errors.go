package client

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/pkg/api"
)

// UnreachableError says which server did not answer, and where it was looked for.
type UnreachableError struct {
	What  string // "etcd", "Temporal" or "a worker"
	Where string
	Cause error
}

func (e *UnreachableError) Error() string {
	msg := fmt.Sprintf("%s at %s can't be reached", e.What, e.Where)
	if e.Cause != nil {
		msg += ": " + trimTransportPrefix(e.Cause.Error())
	}
	return msg
}

func (e *UnreachableError) Unwrap() error { return e.Cause }

// NoWorkerError says that Temporal answers, but nobody takes up work.
type NoWorkerError struct {
	TaskQueue string
	Address   string
	// Left is what stands although nobody works on it, in words for a person; it may be empty.
	Left string
}

func (e *NoWorkerError) Error() string {
	msg := fmt.Sprintf("no worker is listening on task queue %s of Temporal at %s; start one with skyd worker",
		e.TaskQueue, e.Address)
	if e.Left != "" {
		msg += " (" + e.Left + ")"
	}
	return msg
}

// ConflictError says why a cluster of that name stands in the way.
type ConflictError struct {
	Name  string
	Phase api.Phase
	// Works is the workflow that works on it, where that is what stands in the way.
	Works string
	// Differs has a line per field in which the cluster that exists is another than the one asked for.
	Differs []string
}

func (e *ConflictError) Error() string {
	switch {
	case e.Phase == api.PhaseDeleting:
		return fmt.Sprintf("cluster %[1]s is being deleted (%[2]s); wait for that with: skyctl delete cluster %[1]s "+
			"--wait", e.Name, e.Phase) +
			"; then create it again, or choose another name"
	case len(e.Differs) > 0:
		return fmt.Sprintf("cluster %s exists (%s) with another spec: %s; delete it first, or choose another name",
			e.Name, e.Phase, strings.Join(e.Differs, ", "))
	case e.Works != "":
		return fmt.Sprintf("cluster %[1]s exists: it is %[2]s, and %[3]s works on it; wait for that (skyctl get "+
			"events %[1]s -w), then run the same create again if it is still needed",
			e.Name, e.Phase, e.Works)
	default:
		return fmt.Sprintf("cluster %s exists: it is %s", e.Name, e.Phase)
	}
}

// ClusterReplacedError says that the cluster that was meant is gone, and another one bears its name.
type ClusterReplacedError struct{ Name string }

func (e *ClusterReplacedError) Error() string {
	return fmt.Sprintf("the cluster %s that was to be deleted is gone, and another one has that name now: nothing "+
		"was done to it; look at it, and delete it if it is meant", e.Name)
}

// OperationFailedError says that an operation ended without what it was for. Failure is nil where etcd holds no reason.
type OperationFailedError struct {
	Cluster   string
	Operation string // "provisioning" or "deleting"
	Failure   *api.Failure
	Reason    string
}

func (e *OperationFailedError) Error() string {
	f := e.Failure
	if f == nil {
		return fmt.Sprintf("%s cluster %s ended without a result: %s", e.Operation, e.Cluster, e.Reason)
	}
	on := ""
	if f.Machine != "" {
		on = " on " + f.Machine
	}
	return fmt.Sprintf("%s%s: %s: %s", f.Step, on, f.Reason, f.Message)
}

// DriftError says that a cluster is not as it should be, and that nothing works on that any more.
type DriftError struct {
	Cluster string
	Drift   []api.Drift
	// Reason is how the repair failed; empty where it did not, or where there was none.
	Reason string
}

func (e *DriftError) Error() string {
	msg := fmt.Sprintf("cluster %s is not in sync", e.Cluster)
	if e.Reason != "" {
		msg += ": " + e.Reason
	}
	for _, d := range e.Drift {
		msg += "\n" + d.String()
		if d.Next != "" {
			msg += " (next: " + d.Next + ")"
		}
	}
	return msg
}

// ClusterDeletedError says that a cluster was deleted while somebody waited for it.
type ClusterDeletedError struct{ Name string }

func (e *ClusterDeletedError) Error() string {
	return fmt.Sprintf("cluster %s was deleted meanwhile", e.Name)
}

// WaitTimeoutError says that the wait ended before the work did; the work goes on.
type WaitTimeoutError struct {
	Name string
	For  string
	Took time.Duration
}

func (e *WaitTimeoutError) Error() string {
	return fmt.Sprintf("after %v cluster %s is still not %s; the work goes on", e.Took.Round(time.Second), e.Name,
		e.For)
}

// failureReason is the innermost thing that a failed workflow had to say, without Temporal's own words around it.
func failureReason(err error) string {
	var (
		app      *temporal.ApplicationError
		timeout  *temporal.TimeoutError
		canceled *temporal.CanceledError
		stopped  *temporal.TerminatedError
	)
	switch {
	case errors.As(err, &app):
		for inner := app; errors.As(inner.Unwrap(), &inner); {
			app = inner
		}
		return toOneLine(app.Message())
	case errors.As(err, &timeout):
		return "it ran out of time"
	case errors.As(err, &canceled):
		return "it was cancelled"
	case errors.As(err, &stopped):
		return "it was terminated"
	case err == nil:
		return "it ended"
	}
	return toOneLine(err.Error())
}

// trimTransportPrefix takes off what gRPC and Temporal's client wrap around the reason why a connection failed.
func trimTransportPrefix(s string) string {
	if _, desc, ok := strings.Cut(s, `desc = "`); ok {
		s = strings.TrimSuffix(desc, `"`)
	}
	for _, prefix := range []string{"failed reaching server: ", "transport: Error while dialing: ",
		"error reading server preface: "} {
		s = strings.TrimPrefix(s, prefix)
	}
	return toOneLine(s)
}

func toOneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
