// Package activities holds the side effects of operations: each one looks before it acts, so that it may run twice,
// heartbeats while it works, and takes and returns references rather than secrets.
package activities

import (
	"context"
	"errors"
	"fmt"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
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

// Clouds are the clouds this installation can ask, by the name that a spec uses.
type Clouds map[string]cloud.Cloud

// For returns the cloud that serves a spec; an unknown one is an *api.FieldError.
func (c Clouds) For(name string) (cloud.Cloud, error) {
	if found, ok := c[name]; ok {
		return found, nil
	}
	want := "one of:"
	for _, known := range sortedKeys(c) {
		want += " " + known
	}
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
	// ReasonInvalid: the spec can't be met by the cloud it names.
	ReasonInvalid = "InvalidSpec"
)

// failed turns an error of a step into one that crosses to the workflow with its reason, and, as details, the Failure
// that a person is shown. Kinds of cloud errors that hold for a placement, and final ones, are not tried again here.
func failed(ctx context.Context, step, machine string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled) {
		return temporal.NewCanceledError(step)
	}
	f := api.Failure{Step: step, Machine: machine, Reason: "Failed", Message: err.Error()}
	final := false
	var (
		field   *api.FieldError
		missing *store.NotFoundError
		stale   *store.StaleError
		ofRKE2  *rke2.Error
		ofCloud *cloud.Error
		badKey  *remote.HostKeyMismatch
		badAuth *remote.AuthFailed
		run     *remote.RunError
	)
	switch {
	case errors.As(err, &field):
		f.Reason, final = ReasonInvalid, true
	case errors.As(err, &missing) && missing.What == "", errors.As(err, &stale):
		f.Reason, final = ReasonGone, true
	case errors.As(err, &ofRKE2):
		f.Reason, f.Log, final = ofRKE2.Reason, ofRKE2.Log, ofRKE2.Final
	case errors.As(err, &badKey):
		f.Reason, final = "HostKeyMismatch", true
	case errors.As(err, &badAuth):
		f.Reason, final = "AuthFailed", true
	case errors.As(err, &run):
		f.Reason, f.Log, final = "CommandFailed", run.Tail, attempt(ctx) >= commandTries
	case errors.As(err, &ofCloud):
		f.Reason, final = string(ofCloud.Kind), ofCloud.Kind != cloud.Transient
	case errors.Is(err, context.DeadlineExceeded):
		f.Reason, final = "Deadline", true
	}
	where := step
	if machine != "" {
		where = machine + ": " + step
	}
	return temporal.NewApplicationErrorWithOptions(fmt.Sprintf("%s: %v", where, err), f.Reason,
		temporal.ApplicationErrorOptions{NonRetryable: final, Details: []any{f}})
}

// commandTries is how often a command on a machine may fail: what a command says no to, it mostly says no to again.
const commandTries = 3

// attempt counts from 1.
func attempt(ctx context.Context) int32 {
	if !activity.IsActivity(ctx) {
		return 1
	}
	return activity.GetInfo(ctx).Attempt
}

// beat reports progress to the workflow's history; the interceptor of package worker keeps the beat itself going.
func beat(ctx context.Context, progress string) {
	if activity.IsActivity(ctx) {
		activity.RecordHeartbeat(ctx, progress)
	}
}
