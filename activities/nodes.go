package activities

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/kube"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/store"
)

// Nodes makes Kubernetes nodes of machines, over SSH and through the cluster's API.
type Nodes struct {
	Store *store.Store
	Pool  *remote.Pool
	// ClusterDir is where a person's files of a cluster are kept; nil where this worker does not run as that person.
	ClusterDir func(cluster string) string
	Deadlines  Deadlines
	Now        func() time.Time
}

// Deadlines bound the waits of one step each; reaching one is final.
type Deadlines struct {
	// Reach: from the cloud's word that a machine is up until it answers SSH.
	Reach time.Duration
	// Install: to bring RKE2's files onto the machine.
	Install time.Duration
	// Server: from the start of the RKE2 server until the Kubernetes API answers.
	Server time.Duration
	// Agent: from the start of an RKE2 agent until its unit is up.
	Agent time.Duration
	// Node: until a Node is Ready.
	Node time.Duration
}

// DefaultDeadlines allow for slow clouds and for images that are pulled at the first start.
func DefaultDeadlines() Deadlines {
	return Deadlines{
		Reach: 5 * time.Minute, Install: 15 * time.Minute, Server: 15 * time.Minute, Agent: 10 * time.Minute, Node: 10 * time.Minute,
	}
}

// The ports of RKE2's supervisor and of the Kubernetes API.
const (
	supervisorPort = "9345"
	apiPort        = "6443"
)

// Prepare puts RKE2's files onto a machine.
func (a *Nodes) Prepare(ctx context.Context, m MachineRef) error {
	const step = "install RKE2"
	c, record, err := a.read(ctx, m)
	if err != nil {
		return failed(ctx, step, m.Name, err)
	}
	if c.Status.Artifacts == nil {
		return failed(ctx, step, m.Name, fmt.Errorf("no RKE2 release is pinned for the cluster"))
	}
	say := progress(ctx, a.Store, m, a.Now)
	say("waiting for SSH")
	h, err := a.reach(ctx, m, record, say)
	if err != nil {
		return failed(ctx, "reach over SSH", m.Name, err)
	}
	install, cancel := context.WithTimeout(ctx, a.Deadlines.Install)
	defer cancel()
	if err := rke2.Install(install, h, *c.Status.Artifacts, say); err != nil {
		return failed(ctx, step, m.Name, err)
	}
	return failed(ctx, step, m.Name, a.note(ctx, m, api.MachinePrepared, ""))
}

// StartHead starts the RKE2 server, waits for the Kubernetes API, and keeps the cluster's credentials.
func (a *Nodes) StartHead(ctx context.Context, m MachineRef) error {
	const step = "start the server"
	_, record, err := a.read(ctx, m)
	if err != nil {
		return failed(ctx, step, m.Name, err)
	}
	password, err := a.Store.GetSecret(ctx, m.Cluster, store.SecretAgentPassword)
	if err != nil {
		return failed(ctx, step, m.Name, err)
	}
	say := progress(ctx, a.Store, m, a.Now)
	say("starting the server")
	h, err := a.reach(ctx, m, record, say)
	if err != nil {
		return failed(ctx, "reach over SSH", m.Name, err)
	}
	node := nodeOf(record)
	node.AgentToken = string(password)
	node.TLSSANs = sans(record)
	if err := rke2.WriteConfig(ctx, h, node); err != nil {
		return failed(ctx, "configure the server", m.Name, err)
	}
	if err := rke2.StartServer(ctx, h); err != nil {
		return failed(ctx, step, m.Name, err)
	}
	wait, cancel := context.WithTimeout(ctx, a.Deadlines.Server)
	defer cancel()
	if err := rke2.WaitServer(wait, h, say); err != nil {
		return failed(ctx, step, m.Name, err)
	}
	return a.keepCredentials(ctx, m, record, h)
}

// keepCredentials copies token and kubeconfig back into the store, and the kubeconfig to the person's files.
func (a *Nodes) keepCredentials(ctx context.Context, m MachineRef, record *api.Machine, h *remote.Host) error {
	const step = "fetch the credentials"
	creds, err := rke2.FetchCredentials(ctx, h)
	if err != nil {
		return failed(ctx, step, m.Name, err)
	}
	endpoint := "https://" + net.JoinHostPort(record.Address, apiPort)
	kubeconfig, err := kube.EditKubeconfig(creds.Kubeconfig, m.Cluster.Name, endpoint)
	if err != nil {
		return failed(ctx, step, m.Name, err)
	}
	secrets := map[string][]byte{
		store.SecretServerToken: []byte(creds.ServerToken),
		store.SecretAgentToken:  []byte(creds.AgentToken),
		store.SecretKubeconfig:  kubeconfig,
	}
	for _, key := range sortedKeys(secrets) {
		if err := a.Store.PutSecret(ctx, m.Cluster, key, secrets[key]); err != nil {
			return failed(ctx, step, m.Name, err)
		}
	}
	if a.ClusterDir != nil {
		path := filepath.Join(a.ClusterDir(m.Cluster.Name), "kubeconfig")
		if err := kube.WriteKubeconfigFile(path, kubeconfig); err != nil {
			return failed(ctx, "write the kubeconfig", m.Name, err)
		}
	}
	_, err = a.Store.Update(ctx, m.Cluster, func(c *api.Cluster) error {
		c.Status.Endpoint = endpoint
		return nil
	})
	return failed(ctx, step, m.Name, err)
}

// Join starts the RKE2 agent of a worker against the head's supervisor, and waits until its unit is up.
func (a *Nodes) Join(ctx context.Context, m MachineRef) error {
	const step = "join the cluster"
	c, record, err := a.read(ctx, m)
	if err != nil {
		return failed(ctx, step, m.Name, err)
	}
	head, err := headOf(c)
	if err != nil {
		return failed(ctx, step, m.Name, err)
	}
	token, err := a.Store.GetSecret(ctx, m.Cluster, store.SecretAgentToken)
	if err != nil {
		return failed(ctx, step, m.Name, err)
	}
	say := progress(ctx, a.Store, m, a.Now)
	say("joining the cluster")
	h, err := a.reach(ctx, m, record, say)
	if err != nil {
		return failed(ctx, "reach over SSH", m.Name, err)
	}
	node := nodeOf(record)
	node.Server = "https://" + net.JoinHostPort(head.PrivateAddress, supervisorPort)
	if err := rke2.JoinAgent(ctx, h, node, string(token)); err != nil {
		return failed(ctx, step, m.Name, err)
	}
	wait, cancel := context.WithTimeout(ctx, a.Deadlines.Agent)
	defer cancel()
	return failed(ctx, step, m.Name, rke2.WaitAgent(wait, h, say))
}

// AwaitNode waits until the machine's Node is Ready.
func (a *Nodes) AwaitNode(ctx context.Context, m MachineRef) error {
	const step = "wait for the Node"
	say := progress(ctx, a.Store, m, a.Now)
	say("waiting for the Node to be Ready")
	kubeconfig, err := a.Store.GetSecret(ctx, m.Cluster, store.SecretKubeconfig)
	if err != nil {
		return failed(ctx, step, m.Name, err)
	}
	client, err := kube.Client(kubeconfig)
	if err != nil {
		return failed(ctx, step, m.Name, err)
	}
	wait, cancel := context.WithTimeout(ctx, a.Deadlines.Node)
	defer cancel()
	if err := kube.WaitNodeReady(wait, client, m.NodeName, say); err != nil {
		return failed(ctx, step, m.Name, err)
	}
	_, err = a.Store.UpdateMachine(ctx, m.Cluster, m.Index, m.Incarnation, func(r *api.Machine) error {
		if r.ReadyAt.IsZero() {
			r.ReadyAt = a.Now()
		}
		advance(r, api.MachineReady, "", a.Now())
		return nil
	})
	return failed(ctx, step, m.Name, err)
}

// diagnoseLines is how much of a machine's log a person is shown.
const diagnoseLines = 20

// Diagnose returns the last lines that the machine's RKE2 unit had to say.
func (a *Nodes) Diagnose(ctx context.Context, m MachineRef) ([]string, error) {
	const step = "read the log"
	_, record, err := a.read(ctx, m)
	if err != nil {
		return nil, failed(ctx, step, m.Name, err)
	}
	h, err := a.dial(ctx, m, record)
	if err != nil {
		return nil, failed(ctx, step, m.Name, err)
	}
	lines, err := rke2.Journal(ctx, h, m.Role, diagnoseLines)
	return lines, failed(ctx, step, m.Name, err)
}

// reach returns a connection to the machine, and pins its host key where this is the first contact.
func (a *Nodes) reach(ctx context.Context, m MachineRef, record *api.Machine, say func(string)) (*remote.Host, error) {
	key, err := a.Store.GetSecret(ctx, m.Cluster, store.SecretSSHKey)
	if err != nil {
		return nil, err
	}
	wait, cancel := context.WithTimeout(ctx, a.Deadlines.Reach)
	defer cancel()
	h, err := a.Pool.Wait(wait, targetOf(record), key, say)
	if err != nil || record.HostKey != "" {
		return h, err
	}
	_, err = a.Store.UpdateMachine(ctx, m.Cluster, m.Index, m.Incarnation, func(r *api.Machine) error {
		if r.HostKey == "" {
			r.HostKey = h.HostKey()
		}
		return nil
	})
	return h, err
}

// dial tries the machine once.
func (a *Nodes) dial(ctx context.Context, m MachineRef, record *api.Machine) (*remote.Host, error) {
	key, err := a.Store.GetSecret(ctx, m.Cluster, store.SecretSSHKey)
	if err != nil {
		return nil, err
	}
	return a.Pool.Get(ctx, targetOf(record), key)
}

func (a *Nodes) read(ctx context.Context, m MachineRef) (*api.Cluster, *api.Machine, error) {
	c, err := a.Store.Get(ctx, m.Cluster.Name)
	if err != nil {
		return nil, nil, err
	}
	record, err := placeOf(c, m)
	return c, record, err
}

func (a *Nodes) note(ctx context.Context, m MachineRef, state api.MachineState, doing string) error {
	return note(ctx, a.Store, m, state, doing, a.Now())
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
