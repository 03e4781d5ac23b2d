package client

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// UnreachableError says which server did not answer, and its address.
type UnreachableError struct {
	What  string // "etcd", "Temporal" or "a worker"
	Where string
	Cause error
}

func (e *UnreachableError) Error() string {
	msg := fmt.Sprintf("%s at %s cannot be reached", e.What, e.Where)
	if e.Cause != nil {
		msg += ": " + trimTransportPrefix(e.Cause.Error())
	}
	return msg
}

func (e *UnreachableError) Unwrap() error { return e.Cause }

// NoWorkerError says that Temporal answers, but no worker polls the task queue.
type NoWorkerError struct {
	TaskQueue string
	Address   string
	// Consequence is what that means for the command; it may be empty.
	Consequence string
}

func (e *NoWorkerError) Error() string {
	msg := fmt.Sprintf("no worker is listening on task queue %s of Temporal at %s; start one with skyd worker",
		e.TaskQueue, e.Address)
	if e.Consequence != "" {
		msg += " (" + e.Consequence + ")"
	}
	return msg
}

// OldWorkerError says that the worker which took a request does not know clusters whose pools differ from each other.
type OldWorkerError struct{ TaskQueue string }

func (e *OldWorkerError) Error() string {
	return fmt.Sprintf("the worker on task queue %s is an older version that cannot create clusters from files; "+
		"install this version where it runs, and restart it", e.TaskQueue)
}

// ConflictError says why an existing cluster prevents a command.
type ConflictError struct {
	Name  string
	Phase api.Phase
	// Running is the type of the workflow that is running for it, if that is the reason.
	Running string
	// Differs has a line for each field that differs from the request.
	Differs []string
}

// IsSameCreate reports whether the very same create is running.
func (e *ConflictError) IsSameCreate() bool {
	return e.Running == operation.WorkflowProvision && len(e.Differs) == 0 &&
		(e.Phase == api.PhaseInit || e.Phase == api.PhaseProvisioning)
}

func (e *ConflictError) Error() string {
	switch {
	case e.Phase == api.PhaseDeleting:
		return fmt.Sprintf("cluster %[1]s is being deleted (%[2]s). Choose another name, or wait for the delete: "+
			"skyctl delete cluster %[1]s --wait", e.Name, e.Phase)
	case e.Phase == api.PhaseStopped:
		return fmt.Sprintf("cluster %[1]s exists: it is %[2]s. To start it: skyctl start cluster %[1]s", e.Name,
			e.Phase)
	case len(e.Differs) == 1 && strings.HasPrefix(e.Differs[0], "num_nodes ") && e.Phase != api.PhaseError:
		return fmt.Sprintf("cluster %[1]s exists (%[2]s) with another number of machines: %[3]s. To change it: skyctl "+
			"scale cluster %[1]s --num_nodes N", e.Name, e.Phase, e.Differs[0])
	case len(e.Differs) > 0:
		return fmt.Sprintf("cluster %s exists (%s) with another spec: %s; delete it first, or choose another name",
			e.Name, e.Phase, strings.Join(e.Differs, ", "))
	case e.IsSameCreate():
		return fmt.Sprintf("cluster %[1]s is being created already (%[2]s). To watch it: run the same create with "+
			"--wait, or skyctl get cluster %[1]s -w", e.Name, e.Phase)
	case e.Running != "":
		return fmt.Sprintf("cluster %[1]s exists: it is %[2]s, and %[3]s is running; wait for it (skyctl get "+
			"events %[1]s -w), then run the same create again if needed",
			e.Name, e.Phase, e.Running)
	default:
		return fmt.Sprintf("cluster %s exists: it is %s", e.Name, e.Phase)
	}
}

// ClusterReplacedError says that the cluster was deleted, and that a new cluster has its name.
type ClusterReplacedError struct{ Name string }

func (e *ClusterReplacedError) Error() string {
	return fmt.Sprintf("cluster %s was deleted in the meantime, and a new cluster has the same name; skyctl did not "+
		"change the new one. To delete it, run the command again", e.Name)
}

// StoppedError says that a change of a stopped cluster is recorded, and counts once the cluster is started.
type StoppedError struct{ Name string }

func (e *StoppedError) Error() string {
	return fmt.Sprintf("cluster %[1]s is stopped; the change is recorded and counts once it is started: skyctl start "+
		"cluster %[1]s", e.Name)
}

// OperationFailedError says that an operation did not reach its goal. Failure is nil if etcd has no reason.
type OperationFailedError struct {
	Cluster   string
	Operation string // "provisioning" or "deleting"
	Failure   *api.Failure
	Reason    string
	// Unchanged: the cluster is as it was before the operation was requested.
	Unchanged bool
}

func (e *OperationFailedError) Error() string {
	f := e.Failure
	if f == nil {
		return fmt.Sprintf("%s cluster %s stopped: %s", e.Operation, e.Cluster, e.Reason)
	}
	machine := ""
	if f.Machine != "" {
		machine = " on " + f.Machine
	}
	return fmt.Sprintf("%s%s: %s: %s", f.Step, machine, f.Reason, f.Message)
}

// AsOperationFailed returns the *OperationFailedError in an error; nil if there is none.
func AsOperationFailed(err error) *OperationFailedError {
	var failed *OperationFailedError
	if errors.As(err, &failed) {
		return failed
	}
	return nil
}

// DriftError says that a cluster has drift and that no repair is running.
type DriftError struct {
	Cluster string
	Drift   []api.Drift
	// Reason is why the repair failed; empty if it did not fail, or if there was none.
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

// NoPlacementError says that no cloud that was asked has machines as a request describes them.
type NoPlacementError struct{ Request string }

func (e *NoPlacementError) Error() string {
	return fmt.Sprintf("no placement satisfies the request (%s); request less, or another cloud or region", e.Request)
}

// ClusterDeletedError says that a cluster was deleted during a wait.
type ClusterDeletedError struct{ Name string }

func (e *ClusterDeletedError) Error() string {
	return fmt.Sprintf("cluster %s was deleted in the meantime", e.Name)
}

// WaitTimeoutError says that a wait ended before its operation, which continues.
type WaitTimeoutError struct {
	Name string
	For  string
	Took time.Duration
}

func (e *WaitTimeoutError) Error() string {
	return fmt.Sprintf("cluster %[2]s is not %[3]s after %[1]v; the operation continues", e.Took.Round(time.Second),
		e.Name,
		e.For)
}

// failureReason is the innermost error of a failed workflow, without Temporal's wrapping.
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
		return "it timed out"
	case errors.As(err, &canceled):
		return "it was cancelled"
	case errors.As(err, &stopped):
		return "it was terminated"
	case err == nil:
		return "it ended"
	}
	return toOneLine(err.Error())
}

func isUnreachable(err error) bool {
	var u *UnreachableError
	return errors.As(err, &u)
}

// trimTransportPrefix removes what gRPC and the Temporal client wrap around the reason of a failed connection.
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
