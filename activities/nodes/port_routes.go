package nodes

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2/preflight"
	"github.com/sky-shift/skyctl/pkg/rke2config"
	"github.com/sky-shift/skyctl/pkg/sshtarget"
	"github.com/sky-shift/skyctl/pkg/store"
)

// portRoute is a connection between two machines that the cluster needs.
type portRoute struct {
	from, to *api.Machine
	port     preflight.Port
}

const (
	// The pause between probes of a port: probeInterval if the other machine listens, otherwise growing up to
	// probeMaxInterval, because its service takes time to start.
	probeInterval    = time.Second
	probeMaxInterval = 15 * time.Second
)

// runWhileReachable runs a step that needs ports of other machines, and cancels it once one of them is closed:
// otherwise the step would wait for its deadline while the machines cost money. The step does not depend on the routes
// in laterRoutes; their result is awaited after it.
func (a *Activities) runWhileReachable(
	ctx context.Context, step *machineStep, routes, laterRoutes []portRoute, work func(context.Context) error,
) error {
	workCtx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	duringCtx, cancelDuring := context.WithCancel(ctx)
	defer cancelDuring()
	afterCtx, cancelAfter := context.WithCancel(ctx)
	defer cancelAfter()
	over := make(chan struct{})
	var probes errgroup.Group
	startProbe := func(ctx context.Context, r portRoute) {
		probes.Go(func() error {
			err := a.probeUntilVerdict(ctx, step, r, over)
			if err != nil {
				stop(err)
			}
			return err
		})
	}
	for _, r := range routes {
		startProbe(duringCtx, r)
	}
	for _, r := range laterRoutes {
		startProbe(afterCtx, r)
	}
	err := work(workCtx)
	close(over)
	cancelDuring()
	if err != nil {
		cancelAfter()
	}
	if closed := probes.Wait(); closed != nil {
		return closed
	}
	return err
}

// probeUntilVerdict probes a port until it answers; its error says that the port is closed. If nothing listens on the
// port it probes until the step is done, because the step waits for that too. A failed probe is not a verdict.
func (a *Activities) probeUntilVerdict(ctx context.Context, step *machineStep, r portRoute,
	over <-chan struct{}) error {
	trial := preflight.PortTrial{Port: r.port, From: describeMachine(r.from), To: describeMachine(r.to)}
	for pause := probeInterval; ; {
		contact, listens, err := a.probeRoute(ctx, step, r)
		switch {
		case contact == preflight.PortOpen, ctx.Err() != nil:
			return nil
		case err == nil && listens && contact == preflight.PortUnknown:
			return nil
		case err == nil && listens:
			if closed := trial.AddContact(contact, a.Now()); closed != nil {
				return closed
			}
			pause = probeInterval
		default:
			select {
			case <-over:
				return nil
			default:
			}
			pause = min(2*pause, probeMaxInterval)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-overUnlessListening(over, listens):
		case <-time.After(pause):
		}
	}
}

// overUnlessListening returns over if the probes may end with the step, and nil if they are about to reach a verdict.
func overUnlessListening(over <-chan struct{}, listens bool) <-chan struct{} {
	if listens {
		return nil
	}
	return over
}

// probeRoute probes a port once. If it does not answer, it also checks whether the other machine listens on it.
func (a *Activities) probeRoute(ctx context.Context, step *machineStep, r portRoute) (contact preflight.PortContact,
	listens bool, err error) {
	key, err := a.Store.ReadSecret(ctx, step.machine.Cluster, store.SecretSSHKey)
	if err != nil {
		return "", false, err
	}
	var from, to *remote.Host
	if from, err = a.Pool.GetHost(ctx, sshtarget.Of(step.cluster, r.from), key); err != nil {
		return "", false, err
	}
	probe := func() (preflight.PortContact, error) {
		return preflight.ProbePort(ctx, from, r.to.PrivateAddress, r.port)
	}
	if !r.port.UDP {
		if contact, err = probe(); err != nil || contact == preflight.PortOpen {
			return contact, false, err
		}
	}
	if to, err = a.Pool.GetHost(ctx, sshtarget.Of(step.cluster, r.to), key); err != nil {
		return contact, false, err
	}
	if listens, err = preflight.IsListening(ctx, to, r.to.PrivateAddress, r.port); err != nil || !listens {
		return contact, listens, err
	}
	contact, err = probe() // again, because it may listen only since the first probe
	return contact, listens, err
}

func describeMachine(m *api.Machine) string { return m.Name + " (" + m.PrivateAddress + ")" }

// awaitNodeReachable runs the wait for a worker's Node as long as the worker reaches its head. After it, the head must
// reach the worker's kubelet, and neither may reject the pods' network. A head needs no other machine.
func (a *Activities) awaitNodeReachable(ctx context.Context, step *machineStep,
	wait func(context.Context) error) error {
	head, err := step.cluster.Head()
	if err != nil || step.record.Role == api.RoleHead {
		return wait(ctx)
	}
	worker := step.record
	routes := []portRoute{{worker, head, preflight.HeadAPIPort}}
	laterRoutes := []portRoute{{head, worker, preflight.KubeletPort}}
	if overlay, known := overlayPort(step.cluster.Spec.Network.CNI, head); known {
		laterRoutes = append(laterRoutes, portRoute{worker, head, overlay}, portRoute{head, worker, overlay})
	}
	return a.runWhileReachable(ctx, step, routes, laterRoutes, wait)
}

// overlayPort is the port of the pod network of a head's cluster. That of a network plugin that RKE2 does not deploy is
// not known.
func overlayPort(cni string, head *api.Machine) (port preflight.Port, known bool) {
	switch {
	case cni == rke2config.None:
		return preflight.Port{}, false
	case cni == "calico" || cni == "flannel":
		return preflight.StandardOverlayPort, true
	case head.Placement.Exposed && api.EncryptsPods(cni):
		return preflight.EncryptedOverlayPort, true
	}
	return preflight.OverlayPort, true
}
