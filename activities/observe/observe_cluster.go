package observe

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/gpu/stack"
	"github.com/sky-shift/skyctl/pkg/kube"
	"github.com/sky-shift/skyctl/pkg/kube/kubefile"
	"github.com/sky-shift/skyctl/pkg/plan"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/sshtarget"
	"github.com/sky-shift/skyctl/pkg/store"
)

const (
	// apiTimeout bounds the calls to a cluster's API, unitTimeout the check of one machine over SSH. A slower answer
	// counts as none.
	apiTimeout  = 10 * time.Second
	unitTimeout = 10 * time.Second
	// goneMachineTimeout bounds the connection to a machine that the cloud does not list: its replacement waits for it.
	goneMachineTimeout = 3 * time.Second
	// unitsAtOnce bounds the machines of a cluster that are checked over SSH at the same time. It is at least the
	// planner's number of suspects: if none of them answers, a second round would not end within sweepClusterTimeout,
	// and no sweep would ever decide.
	unitsAtOnce = 20
)

// observeCluster observes a cluster: its machines in the listing, its nodes through its API, and over SSH the machines
// whose state is still unclear. What it can't observe is part of the observation. It only fails if this worker's own
// dependencies fail, which says nothing about the cluster.
func (a *Activities) observeCluster(ctx context.Context, c *api.Cluster, listed providerListing) (plan.Observation,
	apiObservation, error) {
	observation := plan.Observation{At: a.Now()}
	_, observation.CanStart = a.Clouds.CloudOfProvider(a.Clouds.ProviderName(c.CloudName())).(cloud.Starter)
	if err := listed.errorForCluster(c); err != nil {
		observation.CloudError = redact.Text(err.Error())
	}
	for _, m := range listed.machines[c.Metadata.UID] {
		l := plan.ListedMachine{
			Name: m.Name, ID: m.ID, Cluster: m.Owner.Cluster, Index: m.Index, Incarnation: m.Incarnation,
			Stopped: m.State == cloud.StateStopped, Unknown: m.State == cloud.StateUnknown, NoStart: m.NoStart,
		}
		if m.State == cloud.StateRunning { // otherwise the address is outdated or incomplete
			l.Address, l.PrivateAddress, l.SSHPort = m.Address, m.PrivateAddress, m.SSHPort
		}
		observation.Listed = append(observation.Listed, l)
	}
	if err := a.addKnownConflicts(ctx, c, &observation); err != nil {
		return observation, apiObservation{}, err
	}
	if c.Status.Phase != api.PhaseReady {
		return observation, apiObservation{}, nil // only its remaining machines matter
	}
	missing, err := a.Store.MissingSecrets(ctx, c.Ref())
	if err != nil {
		return observation, apiObservation{}, err
	}
	observation.KeysMissing = missing
	observed, err := a.observeAPI(ctx, c, &observation)
	if isWorkerError(err) {
		return observation, apiObservation{}, err
	}
	if err != nil {
		observation.APIError = redact.Text(err.Error())
	}
	if a.ClusterDir != nil && observed.kubeconfig != nil {
		observation.KubeconfigFile = kubefile.DescribeDifference(filepath.Join(a.ClusterDir(c.Metadata.Name),
			"kubeconfig"),
			observed.kubeconfig)
	}
	if observation.Units, err = a.observeUnits(ctx, c, observation); err != nil {
		return observation, observed, err
	}
	return observation, observed, a.observeSnapshot(ctx, c, &observation)
}

// isWorkerError reports whether an error is about etcd or its secrets key. It does not mean that a machine is
// unreachable.
func isWorkerError(err error) bool {
	unavailable, wrongKey := new(store.UnavailableError), new(store.WrongKeyError)
	return errors.As(err, &unavailable) || errors.As(err, &wrongKey) || errors.Is(err, store.ErrNoKey)
}

// apiObservation is the part of an observation that is only recorded. Its fields are nil if the API did not answer.
type apiObservation struct {
	seen *kube.Observation
	gpus *stack.Status
	// kubeconfig is the stored one.
	kubeconfig []byte
}

func toPlanNodes(seen *kube.Observation) map[string]plan.Node {
	nodes := make(map[string]plan.Node, len(seen.Nodes))
	for name, n := range seen.Nodes {
		nodes[name] = plan.Node{
			Ready: n.Ready, Why: n.Why, Pressure: n.Pressure, Since: n.Since, Cordoned: n.Cordoned, Kubelet: n.Kubelet,
			Deleting: n.Deleting, Pods: n.Pods, Labels: n.Labels, Taints: n.Taints,
		}
	}
	return nodes
}

// observeAPI reads nodes and GPU stack from the cluster's API, and records in w when its credentials expire.
func (a *Activities) observeAPI(ctx context.Context, c *api.Cluster, observation *plan.Observation) (apiObservation,
	error) {
	observation.CredentialsExpire = observation.At // missing or unreadable credentials count as expired
	kubeconfig, err := a.Store.ReadSecret(ctx, c.Ref(), store.SecretKubeconfig)
	if err != nil {
		return apiObservation{}, err
	}
	observed := apiObservation{kubeconfig: kubeconfig}
	expire, err := kube.KubeconfigExpiry(kubeconfig)
	if err != nil {
		return observed, err
	}
	observation.CredentialsExpire = expire
	client, err := activities.NewClientFromKubeconfig(kubeconfig, c, a.Store, a.Pool, kube.ShortLived)
	if err != nil {
		return observed, err
	}
	defer kube.CloseClient(client)
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	seen, err := kube.ObserveCluster(ctx, client, c.Status.Machines, c.Spec.AcceleratorsOf)
	if err != nil {
		return observed, err
	}
	observation.Nodes = toPlanNodes(&seen)
	if seen.Unmeasured == nil {
		observed.seen = &seen
	}
	observed.gpus, observation.GPU = a.observeGPUs(ctx, c, client)
	observation.AddOns = observeAddOns(ctx, c, client)
	return observed, nil
}

// observeAddOns asks again for the add-ons that the cluster lacked; nil if it lacked none, or does not answer.
func observeAddOns(ctx context.Context, c *api.Cluster, client kubernetes.Interface) *api.Condition {
	known := c.Status.FindCondition(api.AddOnsReady)
	if known == nil || known.Status == api.ConditionTrue {
		return nil
	}
	missing, err := kube.FindMissingAddOns(ctx, client)
	if err != nil {
		return nil
	}
	condition := api.NewAddOnsCondition(missing)
	return &condition
}

// observeUnits checks RKE2 over SSH on the machines whose state is still unclear.
func (a *Activities) observeUnits(ctx context.Context, c *api.Cluster,
	observation plan.Observation) (map[int]plan.RKE2Unit,
	error) {
	suspects := plan.FindSuspects(c, observation)
	if len(suspects) == 0 {
		return nil, nil
	}
	found := make([]plan.RKE2Unit, len(suspects))
	var group errgroup.Group
	group.SetLimit(unitsAtOnce)
	for i, index := range suspects {
		group.Go(func() (err error) {
			found[i], err = a.observeUnit(ctx, c, observation, index)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	units := map[int]plan.RKE2Unit{}
	for i, index := range suspects {
		units[index] = found[i]
	}
	return units, nil
}

func (a *Activities) observeUnit(ctx context.Context, c *api.Cluster, observation plan.Observation,
	index int) (plan.RKE2Unit,
	error) {
	for i := range c.Status.Machines {
		m := &c.Status.Machines[i]
		if m.Index != index {
			continue
		}
		within := goneMachineTimeout
		if slices.ContainsFunc(observation.Listed, func(l plan.ListedMachine) bool { return l.Name == m.Name }) {
			within = unitTimeout
		}
		u, err := a.readUnit(ctx, c, m, within)
		switch {
		case isWorkerError(err):
			return plan.RKE2Unit{}, err
		case err != nil:
			return plan.RKE2Unit{Error: redact.Text(err.Error())}, nil
		}
		found := plan.RKE2Unit{Reached: true, Active: u.Active, Health: toPlanHealth(u.Ready), Why: u.Why}
		if u.For > 0 {
			found.Since = a.Now().Add(-u.For)
		}
		return found, nil
	}
	return plan.RKE2Unit{Error: "the machine has no record in etcd"}, nil
}

func (a *Activities) readUnit(ctx context.Context, c *api.Cluster, m *api.Machine, within time.Duration) (
	rke2.UnitState, error) {
	if m.Address == "" {
		return rke2.UnitState{}, errors.New("it has no address yet")
	}
	key, err := a.Store.ReadSecret(ctx, c.Ref(), store.SecretSSHKey)
	if err != nil {
		return rke2.UnitState{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, unitTimeout)
	defer cancel()
	connect, connected := context.WithTimeout(ctx, within)
	defer connected()
	h, err := a.Pool.GetHost(connect, sshtarget.Of(c, m), key)
	if err != nil {
		return rke2.UnitState{}, err
	}
	return rke2.ReadUnitState(ctx, h, m.Role)
}

func toPlanHealth(ready rke2.Readiness) plan.Health {
	switch ready {
	case rke2.Ready:
		return plan.Healthy
	case rke2.Unready:
		return plan.Unhealthy
	}
	return plan.HealthUnknown
}

// observeGPUs returns the state of a cluster's GPU stack, and why it differs from what was installed; "" if it does
// not, or there is none.
func (a *Activities) observeGPUs(ctx context.Context, c *api.Cluster, client kubernetes.Interface) (*stack.Status,
	string) {
	expected := stack.ExpectedByNode(c)
	if !c.Spec.ManagesGPUs() || len(expected) == 0 {
		return nil, "" // the stack is installed for the driver that the first machines with accelerators have
	}
	of := stack.NewClient(client)
	status, why, err := stack.InspectState(ctx, of, a.GPUStack(c.Spec.GPUStack).ForSpec(c.Spec.ControlPlaneGroup()),
		nil, expected)
	if err != nil {
		return nil, "" // what can't be observed is not drift
	}
	if why == "" {
		if nodes, err := stack.UntestedNodes(ctx, of, c); err == nil && len(nodes) > 0 {
			why = "accelerators are untested on " + strings.Join(nodes, ", ")
		}
	}
	return &status, why
}
