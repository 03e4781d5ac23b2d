package nodes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/remote"
)

// machineLostError says that the machine of a running step is gone or stopped: it does not answer, and its cloud says
// so.
type machineLostError struct {
	how   string
	cause error
}

func (e *machineLostError) Error() string {
	if e.cause == nil {
		return e.how
	}
	return fmt.Sprintf("%s (%v)", e.how, e.cause)
}

// Reason is ReasonLost.
func (e *machineLostError) Reason() string { return activities.ReasonLost }

// Final is true: the workflow replaces the machine.
func (e *machineLostError) Final() bool { return true }

const (
	// lossCheckInterval is the default of Activities.SilentEvery.
	lossCheckInterval = 15 * time.Second
	// sshDialTimeout bounds the connection to a machine's SSH port.
	sshDialTimeout = 5 * time.Second
	// lossConfirmations is how many listings in a row must agree that a silent machine is gone: one may be out of date.
	lossConfirmations = 2
)

// runUnlessLost runs work on a machine, and cancels it once the machine is lost.
func (a *Activities) runUnlessLost(ctx context.Context, at *machineStep,
	work func(context.Context, *machineStep) error) error {
	if !a.Clouds.HasAny() || at.record.Address == "" {
		return work(ctx, at)
	}
	watched, stop := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if how := a.awaitMachineLost(watched, at); how != "" {
			stop(&machineLostError{how: how})
		}
	}()
	err := work(watched, at)
	stop(nil)
	<-ended
	var (
		lost    *machineLostError
		another *remote.HostKeyMismatch
	)
	switch {
	case err == nil, ctx.Err() != nil:
		return err
	case errors.As(context.Cause(watched), &lost):
		return &machineLostError{how: lost.how, cause: err}
	case errors.As(err, &another): // another machine may have its address now
		if how := a.confirmMachineLost(ctx, at); how != "" {
			return &machineLostError{how: how, cause: err}
		}
	}
	return err
}

// CheckLost fails with ReasonLost if a machine does not answer and its cloud says that it is gone or stopped. It
// succeeds in all other cases, also if the state is unknown.
func (a *Activities) CheckLost(ctx context.Context, m activities.MachineRef) error {
	at := &machineStep{machine: m}
	var err error
	if at.cluster, err = activities.ReadCluster(ctx, a.Store, m.Cluster); err == nil {
		at.record, err = activities.FindMachineRecord(at.cluster, m)
	}
	if err != nil || !a.Clouds.HasAny() || at.record.Address == "" || a.answersOnSSHPort(ctx, at) {
		return nil
	}
	if how := a.confirmMachineLost(ctx, at); how != "" {
		return activities.StepError(ctx, "check that the machine exists", m.Name, &machineLostError{how: how})
	}
	return nil
}

// awaitMachineLost waits until a machine is lost, and returns how; "" if the context ends first.
func (a *Activities) awaitMachineLost(ctx context.Context, at *machineStep) string {
	for looks := 0; a.waitForNextCheck(ctx) == nil; {
		if a.answersOnSSHPort(ctx, at) {
			looks = 0
			continue
		}
		how := a.explainLoss(ctx, at)
		if how == "" {
			looks = 0
		} else if looks++; looks == lossConfirmations {
			return how
		}
	}
	return ""
}

// confirmMachineLost lists the machine until enough listings in a row agree that it is gone, and returns how it was
// lost; "" if it was not.
func (a *Activities) confirmMachineLost(ctx context.Context, at *machineStep) string {
	how := ""
	for look := range lossConfirmations {
		if look > 0 && a.waitForNextCheck(ctx) != nil {
			return ""
		}
		if how = a.explainLoss(ctx, at); how == "" {
			return ""
		}
	}
	return how
}

func (a *Activities) waitForNextCheck(ctx context.Context) error {
	every := a.SilentEvery
	if every <= 0 {
		every = lossCheckInterval
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(every):
		return nil
	}
}

// answersOnSSHPort reports whether anything listens on the machine's SSH port.
func (a *Activities) answersOnSSHPort(ctx context.Context, at *machineStep) bool {
	d := net.Dialer{Timeout: sshDialTimeout}
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(at.record.Address, strconv.Itoa(at.record.SSHPort)))
	if err != nil {
		return ctx.Err() != nil
	}
	_ = c.Close()
	return true
}

// explainLoss returns how the cloud's list shows that a machine no longer runs; "" if it runs, or its state is unknown.
func (a *Activities) explainLoss(ctx context.Context, at *machineStep) string {
	of, err := a.Clouds.FindCloud(at.cluster.CloudName())
	if err != nil {
		return ""
	}
	installation, err := a.Store.EnsureInstallationID(ctx)
	if err != nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, a.Deadlines.Ask)
	defer cancel()
	owner := cloud.Owner{Installation: installation, Cluster: at.cluster.Metadata.Name,
		ClusterUID: at.cluster.Metadata.UID}
	listed, err := cloud.ListVerified(ctx, of, owner, activities.KnownOfCluster(at.cluster))
	if partial := new(cloud.PartialError); err != nil &&
		(!errors.As(err, &partial) || partial.LacksCloud(at.record.Placement.Cloud)) {
		return ""
	}
	found, err := activities.CloudTargetOf(owner, *at.record).FindMachine(listed)
	switch {
	case err != nil:
		return ""
	case found == nil:
		return "the machine is gone: it does not answer, and its cloud no longer lists it; it was " +
			"terminated outside skyctl"
	case found.State == cloud.StateStopped:
		return "the machine is stopped: it does not answer, and its cloud lists it as stopped"
	}
	return ""
}
