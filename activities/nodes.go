package activities

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"k8s.io/client-go/kubernetes"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/kube"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/store"
)

// Nodes makes Kubernetes nodes of machines, over SSH and through the cluster's API.
type Nodes struct {
	Store *store.Store
	Pool  *remote.Pool
	// Clouds are asked about a machine that falls silent while something is done on it.
	Clouds Clouds
	// SilentEvery is how often it is looked whether such a machine has; 15 s by default.
	SilentEvery time.Duration
	// ClusterDir is where a person's files of a cluster are kept; nil where this worker does not run as that person.
	ClusterDir func(cluster string) string
	Deadlines  Deadlines
	// RenewWithin: credentials that end sooner are renewed.
	RenewWithin time.Duration
	Now         func() time.Time
	// Home is written on the machines that are prepared; nil leaves them without.
	Home *HomeWatch
}

// client is one for the cluster's API.
func (a *Nodes) client(ctx context.Context, ref api.Ref) (kubernetes.Interface, error) {
	c, err := lookUp(ctx, a.Store, ref)
	if err != nil {
		return nil, err
	}
	return clientOf(ctx, c, a.Store, a.Pool)
}

// Prepare puts RKE2's files onto a machine.
func (a *Nodes) Prepare(ctx context.Context, m MachineRef) error {
	return a.do(ctx, m, "install RKE2", func(ctx context.Context, at *place) error {
		if at.cluster.Status.Artifacts == nil {
			return fmt.Errorf("no RKE2 release is pinned for the cluster")
		}
		h, err := a.reach(ctx, at)
		if err != nil {
			return err
		}
		install, cancel := within(ctx, a.Deadlines.Install)
		defer cancel()
		if err := rke2.CheckFitness(install, h, a.Now, at.say); err != nil {
			return err
		}
		if err := rke2.Install(install, h, *at.cluster.Status.Artifacts, at.say); err != nil {
			return err
		}
		if err := a.Home.markMachine(install, h); err != nil {
			return err
		}
		return note(ctx, a.Store, m, api.MachinePrepared, "", a.Now())
	})
}

// StartHead starts the RKE2 server, waits until agents may join it, and keeps the cluster's credentials.
func (a *Nodes) StartHead(ctx context.Context, m MachineRef) error {
	return a.do(ctx, m, "start the server", func(ctx context.Context, at *place) error {
		password, err := a.Store.GetSecret(ctx, m.Cluster, store.SecretAgentPassword)
		if err != nil {
			return err
		}
		at.say("starting the server")
		h, err := a.reach(ctx, at)
		if err != nil {
			return err
		}
		node := nodeOf(at.record)
		node.AgentToken, node.TLSSANs = string(password), sans(at.record)
		node.Anew = at.record.Outdated(at.record)
		if err := rke2.StartServer(ctx, h, node); err != nil {
			return err
		}
		wait, cancel := within(ctx, a.Deadlines.Server)
		defer cancel()
		if err := rke2.WaitSupervisor(wait, h, at.say); err != nil {
			return err
		}
		if err := a.keepCredentials(ctx, at, h); err != nil {
			return err
		}
		return a.noteConfigured(ctx, at)
	})
}

// AwaitServer waits until the head's Kubernetes API answers.
func (a *Nodes) AwaitServer(ctx context.Context, m MachineRef) error {
	return a.do(ctx, m, "wait for the Kubernetes API", func(ctx context.Context, at *place) error {
		h, err := a.reach(ctx, at)
		if err != nil {
			return err
		}
		wait, cancel := within(ctx, a.Deadlines.Server)
		defer cancel()
		return rke2.WaitServer(wait, h, at.say)
	})
}

// keepCredentials copies token and kubeconfig back into the store, and the kubeconfig to the person's files.
func (a *Nodes) keepCredentials(ctx context.Context, at *place, h *remote.Host) error {
	ref := at.machine.Cluster
	creds, err := rke2.FetchCredentials(ctx, h)
	if err != nil {
		return err
	}
	way, err := a.access(ctx, at.record, ref)
	if err != nil {
		return err
	}
	kubeconfig, err := way.kubeconfig(creds.Kubeconfig, at.record, ref.Name)
	if err != nil {
		return err
	}
	secrets := map[string][]byte{
		store.SecretServerToken: []byte(creds.ServerToken),
		store.SecretAgentToken:  []byte(creds.AgentToken),
		store.SecretKubeconfig:  kubeconfig,
	}
	if password := passwordOf(creds.AgentToken); password != "" {
		secrets[store.SecretAgentPassword] = []byte(password)
	}
	for _, key := range sortedKeys(secrets) {
		if err := a.Store.PutSecret(ctx, ref, key, secrets[key]); err != nil {
			return err
		}
	}
	if a.ClusterDir != nil {
		// A disk that is full here is no reason to give up a cluster: the kubeconfig is in the store.
		if err := kube.WriteKubeconfigFile(filepath.Join(a.ClusterDir(ref.Name), "kubeconfig"), kubeconfig); err != nil {
			activity.GetLogger(ctx).Warn("the kubeconfig could not be written; skyctl get kubeconfig prints it", "cluster", ref.Name, "error", err)
		}
	}
	_, err = a.Store.Update(ctx, ref, func(c *api.Cluster) error {
		c.Status.Endpoint, c.Status.TunnelPort = way.endpoint, way.port
		return nil
	})
	return err
}

// Join starts the RKE2 agent of a worker against the head's supervisor, and waits until its unit is up.
func (a *Nodes) Join(ctx context.Context, m MachineRef) error {
	return a.do(ctx, m, "join the cluster", func(ctx context.Context, at *place) error {
		head, err := headOf(at.cluster)
		if err != nil {
			return err
		}
		token, err := a.Store.GetSecret(ctx, m.Cluster, store.SecretAgentToken)
		if err != nil {
			return err
		}
		at.say("joining the cluster")
		h, err := a.reach(ctx, at)
		if err != nil {
			return err
		}
		node := nodeOf(at.record)
		node.Server = "https://" + net.JoinHostPort(head.PrivateAddress, strconv.Itoa(rke2.SupervisorPort))
		node.Anew = at.record.Outdated(head)
		if err := rke2.JoinAgent(ctx, h, node, string(token)); err != nil {
			return err
		}
		wait, cancel := within(ctx, a.Deadlines.Agent)
		defer cancel()
		needs := []route{{at.record, head, rke2.SupervisorOfHead}, {at.record, head, rke2.APIOfHead}}
		err = a.whileReachable(wait, at, needs, nil, func(ctx context.Context) error { return rke2.WaitAgent(ctx, h, at.say) })
		if err != nil {
			return err
		}
		return a.noteConfigured(ctx, at)
	})
}

// AwaitNode waits until the machine's Node is Ready.
func (a *Nodes) AwaitNode(ctx context.Context, m MachineRef) error {
	return a.do(ctx, m, "wait for the Node", func(ctx context.Context, at *place) error {
		at.say("waiting for the Node to be Ready")
		client, err := a.client(ctx, m.Cluster)
		if err != nil {
			return err
		}
		wait, cancel := within(ctx, a.Deadlines.Node)
		defer cancel()
		err = a.awaitNodeReachable(wait, at, func(ctx context.Context) error {
			return kube.WaitNodeReady(ctx, client, m.NodeName, at.say)
		})
		if err != nil {
			return err
		}
		_, err = a.Store.UpdateMachine(ctx, m.Cluster, m.Index, m.Incarnation, func(r *api.Machine) error {
			r.SetState(api.MachineReady, "", a.Now())
			return nil
		})
		return err
	})
}

// diagnoseLines is how much of a machine's log a person is shown.
const diagnoseLines = 20

// Diagnose returns the last lines that the machine's RKE2 unit had to say; none where the machine never came up, or is gone.
func (a *Nodes) Diagnose(ctx context.Context, m MachineRef) (lines []string, err error) {
	lines, err = a.journal(ctx, m)
	return lines, failed(ctx, "read the log", m.Name, err)
}

func (a *Nodes) journal(ctx context.Context, m MachineRef) ([]string, error) {
	c, err := lookUp(ctx, a.Store, m.Cluster)
	if err != nil {
		return nil, err
	}
	record, err := placeOf(c, m)
	if err != nil || record.Address == "" || record.State == api.MachineGone {
		return nil, err
	}
	key, err := a.Store.GetSecret(ctx, m.Cluster, store.SecretSSHKey)
	if err != nil {
		return nil, err
	}
	h, err := a.Pool.Get(ctx, targetOf(record), key)
	if err != nil {
		return nil, err
	}
	return rke2.Journal(ctx, h, m.Role, diagnoseLines)
}

// place is a machine as a step finds it in etcd, and the way to tell people what is being done to it.
type place struct {
	machine MachineRef
	cluster *api.Cluster
	record  *api.Machine
	say     func(string)
}

// do runs one step on a machine. An error carries the step and the machine to the workflow; one that is tried again is
// told to people meanwhile.
func (a *Nodes) do(ctx context.Context, m MachineRef, step string, work func(context.Context, *place) error) error {
	return a.doThoughLost(ctx, m, step, func(ctx context.Context, at *place) error { return a.doWatched(ctx, at, work) })
}

// doThoughLost does work as do does, and goes on with it though the machine may be lost.
func (a *Nodes) doThoughLost(ctx context.Context, m MachineRef, step string, work func(context.Context, *place) error) error {
	at := &place{machine: m, say: progress(ctx, a.Store, m, a.Now)}
	var err error
	for try := 1; ; try++ {
		if at.cluster, err = lookUp(ctx, a.Store, m.Cluster); err == nil {
			if at.record, err = placeOf(at.cluster, m); err == nil {
				err = work(ctx, at)
			}
		}
		if try == tries || ctx.Err() != nil || !refused(err) {
			break
		}
		at.say("trying again to " + step + ": " + redact.Text(err.Error()))
		select {
		case <-ctx.Done():
		case <-time.After(betweenTries):
		}
	}
	err = failed(ctx, step, m.Name, err)
	var applied *temporal.ApplicationError
	if errors.As(err, &applied) && !applied.NonRetryable() {
		at.say("trying again to " + step + ": " + applied.Message())
	}
	return err
}

// What a machine says no to, it mostly says no to again. The tries are counted here and not by Temporal, which also
// counts those that a killed worker left behind.
const (
	tries        = 3
	betweenTries = 2 * time.Second
)

// refused says whether a command on the machine, or RKE2 there, failed in a way that may pass.
func refused(err error) bool {
	var (
		run    *remote.RunError
		shell  *remote.ShellFailed
		ofRKE2 *rke2.Error
	)
	if errors.As(err, &ofRKE2) {
		return !ofRKE2.Final && ofRKE2.Reason != rke2.SourceUnreachable
	}
	return errors.As(err, &run) || errors.As(err, &shell)
}

// reach returns a connection to the machine, and pins its host key where this is the first contact.
func (a *Nodes) reach(ctx context.Context, at *place) (*remote.Host, error) {
	key, err := a.Store.GetSecret(ctx, at.machine.Cluster, store.SecretSSHKey)
	if err != nil {
		return nil, err
	}
	wait, cancel := within(ctx, a.Deadlines.Reach)
	defer cancel()
	h, err := a.Pool.Wait(wait, targetOf(at.record), key, at.say)
	if err != nil || at.record.HostKey != "" {
		return h, err
	}
	_, err = a.Store.UpdateMachine(ctx, at.machine.Cluster, at.record.Index, at.record.Incarnation, func(r *api.Machine) error {
		if r.HostKey != "" && r.HostKey != h.HostKey() {
			return fmt.Errorf("machine %s showed two host keys on its first contacts", r.Name)
		}
		r.HostKey = h.HostKey()
		return nil
	})
	return h, err
}

func targetOf(r *api.Machine) remote.Target {
	return remote.Target{Name: r.Name, Address: r.Address, Port: r.SSHPort, User: r.SSHUser, HostKey: r.HostKey}
}

func nodeOf(r *api.Machine) rke2.Node {
	return rke2.Node{
		Role: r.Role, NodeName: r.NodeName, NodeIP: r.PrivateAddress, ExternalIP: external(r),
		CPUs: r.CPUs, MemoryGiB: r.MemoryGiB,
	}
}

// external is the machine's address outside of its private network, where it has one of its own.
func external(r *api.Machine) string {
	if r.Address == r.PrivateAddress {
		return ""
	}
	return r.Address
}

// sans are the names under which the head's API is reached.
func sans(r *api.Machine) []string {
	if ext := external(r); ext != "" {
		return []string{ext, r.PrivateAddress, r.Name}
	}
	return []string{r.PrivateAddress, r.Name}
}

func headOf(c *api.Cluster) (*api.Machine, error) {
	for i := range c.Status.Machines {
		if c.Status.Machines[i].Role == api.RoleHead {
			return &c.Status.Machines[i], nil
		}
	}
	return nil, fmt.Errorf("cluster %s has no head", c.Metadata.Name)
}
