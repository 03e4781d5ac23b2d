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
	"github.com/sky-shift/skyctl/pkg/sshtarget"
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
	// lossCheckInterval is the default of Activities.LossCheckInterval.
	lossCheckInterval = 15 * time.Second
	// sshDialTimeout bounds the connection to a machine's SSH port.
	sshDialTimeout = 5 * time.Second
	// lossConfirmations is how many listings in a row must agree that a silent machine is gone: one may be out of date.
	lossConfirmations = 2
)

// runUnlessLost runs work on a machine, and cancels it once the machine is lost.
func (a *Activities) runUnlessLost(ctx context.Context, step *machineStep,
	work func(context.Context, *machineStep) error) error {
	if !a.Clouds.HasAny() || step.record.Address == "" {
		return work(ctx, step)
	}
	watched, stop := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if how := a.awaitMachineLost(watched, step); how != "" {
			stop(&machineLostError{how: how})
		}
	}()
	err := work(watched, step)
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
		if how := a.confirmMachineLost(ctx, step); how != "" {
			return &machineLostError{how: how, cause: err}
		}
	}
	return err
}

// CheckLost fails with ReasonLost if a machine does not answer and its cloud says that it is gone or stopped. It
// succeeds in all other cases, also if the state is unknown.
func (a *Activities) CheckLost(ctx context.Context, m activities.MachineRef) error {
	step := &machineStep{machine: m}
	var err error
	step.cluster, step.record, err = activities.ReadMachine(ctx, a.Store, m)
	if err != nil || !a.Clouds.HasAny() || step.record.Address == "" || a.answersOnSSHPort(ctx, step) {
		return nil
	}
	if how := a.confirmMachineLost(ctx, step); how != "" {
		return activities.StepError(ctx, "check that the machine exists", m.Name, &machineLostError{how: how})
	}
	return nil
}

// awaitMachineLost waits until a machine is lost, and returns how; "" if the context ends first.
func (a *Activities) awaitMachineLost(ctx context.Context, step *machineStep) string {
	for listings := 0; a.waitForNextCheck(ctx) == nil; {
		if a.answersOnSSHPort(ctx, step) {
			listings = 0
			continue
		}
		how := a.explainLoss(ctx, step)
		if how == "" {
			listings = 0
		} else if listings++; listings == lossConfirmations {
			return how
		}
	}
	return ""
}

// confirmMachineLost lists the machine until enough listings in a row agree that it is gone, and returns how it was
// lost; "" if it was not.
func (a *Activities) confirmMachineLost(ctx context.Context, step *machineStep) string {
	how := ""
	for i := range lossConfirmations {
		if i > 0 && a.waitForNextCheck(ctx) != nil {
			return ""
		}
		if how = a.explainLoss(ctx, step); how == "" {
			return ""
		}
	}
	return how
}

func (a *Activities) waitForNextCheck(ctx context.Context) error {
	every := a.LossCheckInterval
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

// answersOnSSHPort reports whether anything listens on the machine's SSH port. Behind a bastion it asks from there: its
// address can be that of another computer here.
func (a *Activities) answersOnSSHPort(ctx context.Context, step *machineStep) bool {
	connect := a.Pool.FindRoute(sshtarget.Of(step.cluster, step.record))
	if connect == nil {
		address := net.JoinHostPort(step.record.Address, strconv.Itoa(step.record.SSHPort))
		connect = func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}
	}
	dialing, cancel := context.WithTimeout(ctx, sshDialTimeout)
	defer cancel()
	c, err := connect(dialing)
	if err != nil {
		return ctx.Err() != nil
	}
	_ = c.Close()
	return true
}

// explainLoss returns how the cloud's list shows that a machine no longer runs; "" if it runs, or its state is unknown.
func (a *Activities) explainLoss(ctx context.Context, step *machineStep) string {
	c, err := activities.ReadCluster(ctx, a.Store, step.machine.Cluster) // a broker has to be told all its machines
	if err != nil {
		return ""
	}
	onCloud, err := a.Clouds.FindCloud(c.CloudName())
	if err != nil {
		return ""
	}
	installation, err := a.Store.EnsureInstallationID(ctx)
	if err != nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, a.Deadlines.Query)
	defer cancel()
	owner := cloud.Owner{Installation: installation, Cluster: c.Metadata.Name, ClusterUID: c.Metadata.UID}
	listed, err := cloud.ListVerified(ctx, onCloud, owner, activities.KnownOfCluster(c))
	if partial := new(cloud.PartialError); err != nil &&
		(!errors.As(err, &partial) || partial.LacksCloud(step.record.Placement.Cloud)) {
		return ""
	}
	found, err := activities.CloudTargetOf(owner, *step.record).FindMachine(listed)
	switch {
	case err != nil:
		return ""
	case found == nil:
		return "the machine is gone: it does not answer, and its cloud no longer lists it; it was " +
			"terminated, or the cloud took it back"
	case found.State == cloud.StateStopped:
		return "the machine is stopped: it does not answer, and its cloud lists it as stopped"
	}
	return ""
}
