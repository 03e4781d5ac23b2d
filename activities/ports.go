package activities

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/store"
)

// route is a way from one machine to a port of another that the cluster needs.
type route struct {
	from, to *api.Machine
	port     rke2.Port
}

const (
	// A port is tried again after probeAgain where the other side listens already, and otherwise ever less often,
	// up to probeSeldom: what starts there takes its time.
	probeAgain  = time.Second
	probeSeldom = 15 * time.Second
)

// whileReachable runs a step that needs ports of other machines, and ends it as soon as one of them turns out to be
// closed: the step would only wait for its deadline, while machines bill. Of those in also, which the step does not
// wait for, a verdict is awaited after it.
func (a *Nodes) whileReachable(
	ctx context.Context, at *place, needs, also []route, step func(context.Context) error,
) error {
	work, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	during, cancelDuring := context.WithCancel(ctx)
	defer cancelDuring()
	after, cancelAfter := context.WithCancel(ctx)
	defer cancelAfter()
	over := make(chan struct{})
	var tried errgroup.Group
	try := func(ctx context.Context, r route) {
		tried.Go(func() error {
			err := a.tryRoute(ctx, at, r, over)
			if err != nil {
				stop(err)
			}
			return err
		})
	}
	for _, r := range needs {
		try(during, r)
	}
	for _, r := range also {
		try(after, r)
	}
	err := step(work)
	close(over)
	cancelDuring()
	if err != nil {
		cancelAfter()
	}
	if closed := tried.Wait(); closed != nil {
		return closed
	}
	return err
}

// tryRoute tries a port until it answers; its error says that it is closed. One on which nothing listens yet is
// tried again until the step is over: that is what the step is for. What can't be looked at is no verdict.
func (a *Nodes) tryRoute(ctx context.Context, at *place, r route, over <-chan struct{}) error {
	trial := rke2.PortTrial{Port: r.port, From: named(r.from), To: named(r.to)}
	for pause := probeAgain; ; {
		contact, listens, err := a.probeRoute(ctx, at, r)
		switch {
		case contact == rke2.PortOpen, ctx.Err() != nil:
			return nil
		case err == nil && listens && contact == rke2.PortUnknown:
			return nil
		case err == nil && listens:
			if closed := trial.See(contact, a.Now()); closed != nil {
				return closed
			}
			pause = probeAgain
		default:
			select {
			case <-over:
				return nil
			default:
			}
			pause = min(2*pause, probeSeldom)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-stepOver(over, listens):
		case <-time.After(pause):
		}
	}
}

// stepOver is over where a trial may end with the step; one that is about to reach its verdict goes on.
func stepOver(over <-chan struct{}, listens bool) <-chan struct{} {
	if listens {
		return nil
	}
	return over
}

// probeRoute tries a port once; where it does not answer, the other machine is asked whether it listens there.
func (a *Nodes) probeRoute(ctx context.Context, at *place, r route) (contact rke2.Contact, listens bool, err error) {
	key, err := a.Store.GetSecret(ctx, at.machine.Cluster, store.SecretSSHKey)
	if err != nil {
		return "", false, err
	}
	var from, to *remote.Host
	if from, err = a.Pool.Get(ctx, targetOf(r.from), key); err != nil {
		return "", false, err
	}
	probe := func() (rke2.Contact, error) { return rke2.ProbePort(ctx, from, r.to.PrivateAddress, r.port) }
	if !r.port.UDP {
		if contact, err = probe(); err != nil || contact == rke2.PortOpen {
			return contact, false, err
		}
	}
	if to, err = a.Pool.Get(ctx, targetOf(r.to), key); err != nil {
		return contact, false, err
	}
	if listens, err = rke2.Listens(ctx, to, r.to.PrivateAddress, r.port); err != nil || !listens {
		return contact, listens, err
	}
	contact, err = probe() // anew: it may have begun to listen since the try
	return contact, listens, err
}

func named(m *api.Machine) string { return m.Name + " (" + m.PrivateAddress + ")" }

// awaitNodeReachable runs the wait for a worker's Node while the worker reaches its head, and ends once the head
// reaches the kubelet there, and neither rejects the pods' network. A head alone needs nobody.
func (a *Nodes) awaitNodeReachable(ctx context.Context, at *place, wait func(context.Context) error) error {
	head, err := headOf(at.cluster)
	if err != nil || at.record.Role == api.RoleHead {
		return wait(ctx)
	}
	worker := at.record
	needs := []route{{worker, head, rke2.APIOfHead}}
	also := []route{{head, worker, rke2.KubeletPort}, {worker, head, rke2.OverlayPort}, {head, worker, rke2.OverlayPort}}
	return a.whileReachable(ctx, at, needs, also, wait)
}
