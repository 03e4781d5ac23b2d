// Package activities holds the side effects of operations: each one looks before it acts, so that it may run twice,
// heartbeats while it works, and takes and returns references rather than secrets.
package activities

import (
	"context"
	"errors"
	"strings"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	sdkworker "go.temporal.io/sdk/worker"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/gpu"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/store"
)

// MachineRef names one incarnation of one place of a cluster.
type MachineRef struct {
	Cluster     api.Ref  `json:"cluster"`
	Index       int      `json:"index"`
	Name        string   `json:"name"`
	Incarnation string   `json:"incarnation"`
	NodeName    string   `json:"node_name"`
	Role        api.Role `json:"role"`
}

// Clouds are the clouds this installation can ask.
type Clouds struct {
	// Named are those that serve one name of a spec.
	Named map[string]cloud.Cloud
	// Others serves every other name, and the choice among them where a spec names none; nil where there is none such.
	Others cloud.Cloud
}

func (c Clouds) hasAny() bool { return len(c.Named) > 0 || c.Others != nil }

// FindCloud returns the cloud that serves a spec; an unknown one is an *api.FieldError.
func (c Clouds) FindCloud(name string) (cloud.Cloud, error) {
	if found, ok := c.Named[name]; ok {
		return found, nil
	}
	if c.Others != nil {
		return c.Others, nil
	}
	want := "one of: " + strings.Join(sortedKeys(c.Named), " ")
	if name == "" {
		want = "name the cloud, " + want
	}
	return nil, &api.FieldError{Field: "cloud", Value: name, Want: want}
}

// The reasons of errors that the workflows decide on; the clouds' own are the Kinds of package cloud.
const (
	// ReasonGone: the cluster is no longer in etcd, or another one bears its name.
	ReasonGone = "ClusterGone"
	// ReasonDeleting: somebody asked to delete the cluster meanwhile.
	ReasonDeleting = "Deleting"
	// ReasonLeft: a machine is there that should have been terminated.
	ReasonLeft = "MachinesLeft"
	// ReasonLost: the machine on which a step was being done is gone, as its cloud says.
	ReasonLost = "MachineLost"
	// ReasonInvalid: the spec can't be met by the cloud it names.
	ReasonInvalid = "InvalidSpec"
)

// readCluster reads a cluster with its machines; another one of that name is a *store.NotFoundError.
func readCluster(ctx context.Context, s *store.Store, ref api.Ref) (*api.Cluster, error) {
	c, err := s.ReadCluster(ctx, ref.Name)
	if err == nil && c.Metadata.UID != ref.UID {
		return nil, &store.NotFoundError{Cluster: ref.Name}
	}
	return c, err
}

// stepError turns an error of a step into one that crosses to the workflow with its reason, and, as details, the
// Failure that a person is shown; secrets that a machine printed are hidden in both. Kinds of cloud errors that hold
// for a placement, and final ones, are not tried again here.
func stepError(ctx context.Context, step, machine string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		if errors.Is(context.Cause(ctx), sdkworker.ErrWorkerShutdown) {
			// Nobody asked to cancel: the next worker goes on with it.
			return temporal.NewApplicationError(step+": the worker was stopped", "WorkerStopped")
		}
		return temporal.NewCanceledError(step)
	}
	reason, log, final := classifyError(err)
	f := api.Failure{Step: step, Machine: machine, Reason: reason, Message: redact.Text(err.Error()),
		Log: redact.Lines(strings.Join(log, "\n"))}
	where := step
	if machine != "" {
		where = machine + ": " + step
	}
	return temporal.NewApplicationErrorWithOptions(where+": "+f.Message, f.Reason,
		temporal.ApplicationErrorOptions{NonRetryable: final, Details: []any{f}})
}

// classifyError says why a step failed, which lines of a log tell more, and whether trying again is of no use.
func classifyError(err error) (reason string, log []string, final bool) {
	var (
		field   *api.FieldError
		missing *store.NotFoundError
		stale   *store.StaleError
		etcd    *store.UnavailableError
		ofRKE2  *rke2.Error
		ofCloud *cloud.Error
		badKey  *remote.HostKeyMismatch
		badAuth *remote.AuthFailed
		lost    *remote.Lost
		run     *remote.RunError
		shell   *remote.ShellFailed
		long    *remote.OutputTooLong
		late    *deadlineError
		ofGPU   *gpu.Failure
		left    *machinesLeftError
		gone    *machineLostError
		lostKey *keysMissingError
		doubt   *homeDoubtError

		wrongKey *store.WrongKeyError
		corrupt  *store.CorruptError
	)
	switch {
	case errors.As(err, &field):
		return ReasonInvalid, nil, true
	case errors.As(err, &missing):
		if missing.What == "" {
			return ReasonGone, nil, true
		}
		return "NotStored", nil, true // nothing that runs meanwhile would store it
	case errors.As(err, &wrongKey), errors.As(err, &corrupt), errors.Is(err, store.ErrNoKey):
		return "Unreadable", nil, true
	case errors.As(err, &gone):
		return ReasonLost, nil, true
	case errors.As(err, &stale):
		return "Replaced", nil, true
	case errors.As(err, &lostKey):
		return string(api.DriftKeysMissing), nil, true
	case errors.As(err, &doubt):
		return reasonHomeInDoubt, nil, true
	case errors.As(err, &left):
		return ReasonLeft, nil, true
	case errors.As(err, &etcd):
		return "EtcdUnavailable", nil, false
	case errors.As(err, &ofGPU):
		return ofGPU.Reason, ofGPU.Log, true
	case errors.As(err, &ofRKE2):
		return ofRKE2.Reason, ofRKE2.Log, ofRKE2.Final || ofRKE2.Reason != rke2.SourceUnreachable
	case errors.As(err, &late):
		return "Deadline", nil, true
	case errors.As(err, &badKey):
		return "HostKeyMismatch", nil, true
	case errors.As(err, &badAuth):
		return "AuthFailed", nil, true
	case errors.As(err, &lost):
		return "ConnectionLost", nil, false
	case errors.As(err, &run):
		return "CommandFailed", run.Tail, true
	case errors.As(err, &shell):
		return "LoginShellFailed", shell.Said, true
	case errors.As(err, &long):
		return "OutputTooLong", nil, true
	case errors.As(err, &ofCloud):
		return string(ofCloud.Kind), nil, ofCloud.Kind != cloud.Transient && ofCloud.Kind != cloud.Unreachable
	case errors.Is(err, context.DeadlineExceeded):
		return "NoAnswer", nil, false // of one exchange: the step's own time is not over
	}
	return "Failed", nil, false
}

// makeFinal makes an error one that is not tried again.
func makeFinal(err error) error {
	var applied *temporal.ApplicationError
	var f api.Failure
	if !errors.As(err, &applied) || applied.Details(&f) != nil {
		return err
	}
	return temporal.NewApplicationErrorWithOptions(applied.Message(), applied.Type(),
		temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{f}})
}

// recordHeartbeat reports progress to the workflow's history; the interceptor of package worker keeps the beat itself
// going.
func recordHeartbeat(ctx context.Context, progress string) {
	if activity.IsActivity(ctx) {
		activity.RecordHeartbeat(ctx, redact.Text(progress))
	}
}
