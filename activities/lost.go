package activities

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/remote"
)

// machineLost says that a machine on which something was being done is not there any more, or does not run: its cloud says so, and
// it is silent.
type machineLost struct {
	how   string
	cause error
}

func (e *machineLost) Error() string {
	if e.cause == nil {
		return e.how
	}
	return fmt.Sprintf("%s (%v)", e.how, e.cause)
}

const (
	// silentEvery is how often a machine is looked at on which something is being done, unless Nodes.SilentEvery says otherwise.
	silentEvery = 15 * time.Second
	// dialWithin is how long a machine that answers may take to do so.
	dialWithin = 5 * time.Second
	// lostLooks is how many listings in a row have to say that a silent machine is gone: one may be behind.
	lostLooks = 2
)

// doWatched does work on a machine, and ends it once the machine is lost.
func (a *Nodes) doWatched(ctx context.Context, at *place, work func(context.Context, *place) error) error {
	if !a.Clouds.any() || at.record.Address == "" {
		return work(ctx, at)
	}
	watched, stop := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if how := a.awaitLoss(watched, at); how != "" {
			stop(&machineLost{how: how})
		}
	}()
	err := work(watched, at)
	stop(nil)
	<-ended
	var (
		lost    *machineLost
		another *remote.HostKeyMismatch
	)
	switch {
	case err == nil, ctx.Err() != nil:
		return err
	case errors.As(context.Cause(watched), &lost):
		return &machineLost{how: lost.how, cause: err}
	case errors.As(err, &another): // its address may have gone to another machine
		if how := a.awaitGone(ctx, at); how != "" {
			return &machineLost{how: how, cause: err}
		}
	}
	return err
}

// CheckLost fails with ReasonLost where a machine is silent and its cloud says that it is gone, or does not run. Whatever else can
// be said of it, or can't be, is a success.
func (a *Nodes) CheckLost(ctx context.Context, m MachineRef) error {
	at := &place{machine: m}
	var err error
	if at.cluster, err = lookUp(ctx, a.Store, m.Cluster); err == nil {
		at.record, err = placeOf(at.cluster, m)
	}
	if err != nil || !a.Clouds.any() || at.record.Address == "" || a.answers(ctx, at) {
		return nil
	}
	if how := a.awaitGone(ctx, at); how != "" {
		return failed(ctx, "see whether it is there", m.Name, &machineLost{how: how})
	}
	return nil
}

// awaitLoss returns how a machine was lost, once it is silent and its cloud says so; nothing where the context ends before.
func (a *Nodes) awaitLoss(ctx context.Context, at *place) string {
	for looks := 0; a.pauseSilent(ctx) == nil; {
		if a.answers(ctx, at) {
			looks = 0
			continue
		}
		how := a.gone(ctx, at)
		if how == "" {
			looks = 0
		} else if looks++; looks == lostLooks {
			return how
		}
	}
	return ""
}

// awaitGone asks the cloud about a machine as often as it takes to believe that it is gone.
func (a *Nodes) awaitGone(ctx context.Context, at *place) string {
	how := ""
	for look := range lostLooks {
		if look > 0 && a.pauseSilent(ctx) != nil {
			return ""
		}
		if how = a.gone(ctx, at); how == "" {
			return ""
		}
	}
	return how
}

func (a *Nodes) pauseSilent(ctx context.Context) error {
	every := a.SilentEvery
	if every <= 0 {
		every = silentEvery
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(every):
		return nil
	}
}

// answers says whether something listens where the machine's SSH server does.
func (a *Nodes) answers(ctx context.Context, at *place) bool {
	d := net.Dialer{Timeout: dialWithin}
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(at.record.Address, strconv.Itoa(at.record.SSHPort)))
	if err != nil {
		return ctx.Err() != nil
	}
	_ = c.Close()
	return true
}

// gone says how the cloud's own listing shows that a machine does not run any more; nothing where it runs, or where that can't be
// said.
func (a *Nodes) gone(ctx context.Context, at *place) string {
	of, err := a.Clouds.For(cloudOf(at.cluster))
	if err != nil {
		return ""
	}
	installation, err := a.Store.Installation(ctx)
	if err != nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, a.Deadlines.Ask)
	defer cancel()
	owner := cloud.Owner{Installation: installation, Cluster: at.cluster.Metadata.Name, ClusterUID: at.cluster.Metadata.UID}
	listed, err := cloud.ListKnown(ctx, of, owner, knownOf(at.cluster))
	if partial := new(cloud.PartialError); err != nil && (!errors.As(err, &partial) || partial.About(at.record.Placement.Cloud)) {
		return ""
	}
	found, err := recorded(owner, *at.record).Choose(listed)
	switch {
	case err != nil:
		return ""
	case found == nil:
		return "the machine is gone: it is silent, and its cloud does not list it any more; somebody or something ended it"
	case found.State == cloud.StateStopped:
		return "the machine does not run: it is silent, and its cloud says that it is stopped"
	}
	return ""
}
