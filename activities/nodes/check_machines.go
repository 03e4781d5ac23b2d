package nodes

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/rke2/preflight"
	"github.com/sky-shift/skyctl/pkg/sshtarget"
	"github.com/sky-shift/skyctl/pkg/store"
)

const (
	// machineCheckTimeout bounds the look at one machine, machineChecksAtOnce how many are looked at at a time.
	machineCheckTimeout = 45 * time.Second
	machineChecksAtOnce = 48
)

// CheckMachines looks at every machine of a cluster as Prepare does, and tries the ports between those that are nodes.
// It changes nothing.
func (a *Activities) CheckMachines(ctx context.Context, ref api.Ref) (operation.CheckMachinesResult, error) {
	const step = "check the machines"
	c, err := activities.ReadCluster(ctx, a.Store, ref)
	if err != nil {
		return operation.CheckMachinesResult{}, activities.StepError(ctx, step, "", err)
	}
	check := clusterCheck{Activities: a, cluster: c}
	check.head, _ = c.Head()
	check.env, check.envError = a.readRKE2Env(ctx, c)
	check.next = pairWorkers(c)
	machines := listCheckable(c)
	checks := make([]api.MachineCheck, len(machines))
	var group errgroup.Group
	group.SetLimit(machineChecksAtOnce)
	for i, m := range machines {
		group.Go(func() error {
			checks[i] = check.checkMachine(ctx, m)
			return nil
		})
	}
	_ = group.Wait()
	return operation.CheckMachinesResult{Machines: checks}, activities.StepError(ctx, step, "", ctx.Err())
}

// listCheckable returns the machines that a check looks at: not those that are being terminated, which no longer
// answer.
func listCheckable(c *api.Cluster) []*api.Machine {
	var machines []*api.Machine
	for i := range c.Status.Machines {
		if m := &c.Status.Machines[i]; m.State.MayExist() && m.State != api.MachineTerminating {
			machines = append(machines, m)
		}
	}
	return machines
}

// clusterCheck is what the checks of the machines of one cluster have in common.
type clusterCheck struct {
	*Activities
	cluster *api.Cluster
	// head is nil if the cluster has none.
	head *api.Machine
	// env are the variables of rke2.env, envError is why they cannot be read.
	env      map[string]string
	envError error
	// next is the other worker that each worker tries to reach, by name.
	next map[string]*api.Machine
}

// pairWorkers pairs each worker that is a node with the next one, and the last with the first: all pairs of a large
// cluster would be too many. One worker alone has no pair.
func pairWorkers(c *api.Cluster) map[string]*api.Machine {
	var workers []*api.Machine
	for i := range c.Status.Machines {
		if m := &c.Status.Machines[i]; m.Role == api.RoleWorker && m.State == api.MachineReady {
			workers = append(workers, m)
		}
	}
	slices.SortFunc(workers, func(a, b *api.Machine) int { return a.Index - b.Index })
	next := map[string]*api.Machine{}
	for i, m := range workers {
		if other := workers[(i+1)%len(workers)]; other != m {
			next[m.Name] = other
		}
	}
	return next
}

func (a clusterCheck) checkMachine(ctx context.Context, m *api.Machine) api.MachineCheck {
	ctx, cancel := activities.WithDeadline(ctx, machineCheckTimeout)
	defer cancel()
	check := api.MachineCheck{Machine: m.Name, Role: m.Role}
	if m.Address == "" {
		check.Unchecked = "it has no address yet"
		return check
	}
	found, err := a.findMachineProblems(ctx, m)
	if err != nil {
		check.Unchecked = redact.Text(err.Error())
		return check
	}
	for _, f := range found[:min(len(found), operation.MaxMachineFindings)] {
		f.Message = redact.Text(f.Message)
		check.Findings = append(check.Findings, f)
	}
	return check
}

func (a clusterCheck) findMachineProblems(ctx context.Context, m *api.Machine) ([]preflight.Finding, error) {
	c := a.cluster
	key, err := a.Store.ReadSecret(ctx, c.Ref(), store.SecretSSHKey)
	if err != nil {
		return nil, err
	}
	h, err := a.Pool.GetHost(ctx, sshtarget.Of(c, m), key)
	if err != nil {
		return nil, err
	}
	requirements := newRequirements(c, m)
	requirements.Env = a.env
	if a.envError != nil {
		requirements.SourceURL, requirements.Registries = "", nil // the way to them is not known
	}
	if a.head != nil && m.Role == api.RoleWorker {
		requirements.Peers = listPeers(a.head)
	}
	if next := a.next[m.Name]; next != nil {
		requirements.Peers = append(requirements.Peers, listPeers(next)...)
	}
	asked := a.Now()
	facts, err := preflight.GatherFacts(ctx, h, requirements)
	if err != nil {
		return nil, err
	}
	skew := preflight.MeasureClockSkew(facts.Clock, asked, a.Now())
	found := append(a.findClosedPorts(ctx, m), preflight.FindProblems(facts, requirements, skew)...)
	if a.envError != nil {
		found = append(found, describeUnreadableEnv(a.envError))
	}
	return found, nil
}

// describeUnreadableEnv says why the variables of rke2.env cannot be read: for want of a secret, or for another reason,
// such as an etcd that does not answer.
func describeUnreadableEnv(err error) preflight.Finding {
	if errors.As(err, new(*store.SecretMissingError)) || errors.As(err, new(*unusableSecretError)) {
		return preflight.NewUnusableEnvFinding(err)
	}
	return preflight.NewUnreadEnvFinding(err)
}

// findClosedPorts tries the ports that a worker, its head and one other worker need of each other, if they are nodes.
func (a clusterCheck) findClosedPorts(ctx context.Context, m *api.Machine) []preflight.Finding {
	routes := a.listRoutes(m)
	closed := make([]*preflight.Finding, len(routes))
	step := &machineStep{machine: activities.MachineRef{Cluster: a.cluster.Ref()}, cluster: a.cluster}
	var group errgroup.Group
	for i, r := range routes {
		group.Go(func() error {
			contact, listens, err := a.probeRoute(ctx, step, r)
			if err == nil && listens && (contact == preflight.PortRejected || contact == preflight.PortSilent) {
				f := preflight.NewClosedPortFinding(describeMachine(r.from), describeMachine(r.to), r.port, contact)
				closed[i] = &f
			}
			return nil
		})
	}
	_ = group.Wait()
	var found []preflight.Finding
	for _, f := range closed {
		if f != nil {
			found = append(found, *f)
		}
	}
	return found
}

// listRoutes lists what findClosedPorts tries for a machine. Of a pair of workers it is one direction: the other one's
// turn is the other direction, or another pair.
func (a clusterCheck) listRoutes(m *api.Machine) []portRoute {
	head, next := a.head, a.next[m.Name]
	if head == nil || m.Role != api.RoleWorker || m.State != api.MachineReady {
		return nil
	}
	overlay, known := overlayPort(a.cluster.Spec.Network.CNI, head)
	var routes []portRoute
	if head.State == api.MachineReady {
		routes = append(routes, portRoute{m, head, preflight.HeadSupervisorPort}, portRoute{m, head,
			preflight.HeadAPIPort}, portRoute{head, m, preflight.KubeletPort})
		if known {
			routes = append(routes, portRoute{m, head, overlay}, portRoute{head, m, overlay})
		}
	}
	if next != nil {
		routes = append(routes, portRoute{m, next, preflight.KubeletPort})
		if known {
			routes = append(routes, portRoute{m, next, overlay})
		}
	}
	return routes
}
