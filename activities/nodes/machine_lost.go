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

// machineLostError says that a machine on which something was being done is not there any more, or does not run: its
// cloud says so, and it is silent.
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
	// lossCheckInterval is how often a machine is looked at on which something is being done, unless Nodes.SilentEvery
	// says otherwise.
	lossCheckInterval = 15 * time.Second
	// sshDialTimeout is how long a machine that answers may take to do so.
	sshDialTimeout = 5 * time.Second
	// lossConfirmations is how many listings in a row have to say that a silent machine is gone: one may be behind.
	lossConfirmations = 2
)

// runUnlessLost does work on a machine, and ends it once the machine is lost.
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
	case errors.As(err, &another): // its address may have gone to another machine
		if how := a.confirmMachineLost(ctx, at); how != "" {
			return &machineLostError{how: how, cause: err}
		}
	}
	return err
}

// CheckLost fails with ReasonLost where a machine is silent and its cloud says that it is gone, or does not run.
// Whatever else can be said of it, or can't be, is a success.
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
		return activities.StepError(ctx, "see whether it is there", m.Name, &machineLostError{how: how})
	}
	return nil
}

// awaitMachineLost returns how a machine was lost, once it is silent and its cloud says so; nothing where the context
// ends before.
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

// confirmMachineLost asks the cloud about a machine as often as it takes to believe that it is gone.
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

// answersOnSSHPort says whether something listens where the machine's SSH server does.
func (a *Activities) answersOnSSHPort(ctx context.Context, at *machineStep) bool {
	d := net.Dialer{Timeout: sshDialTimeout}
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(at.record.Address, strconv.Itoa(at.record.SSHPort)))
	if err != nil {
		return ctx.Err() != nil
	}
	_ = c.Close()
	return true
}

// explainLoss says how the cloud's own listing shows that a machine does not run any more; nothing where it runs, or
// where that can't be said.
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
		return "the machine is gone: it is silent, and its cloud does not list it any more; somebody or something " +
			"ended it"
	case found.State == cloud.StateStopped:
		return "the machine does not run: it is silent, and its cloud says that it is stopped"
	}
	return ""
}
