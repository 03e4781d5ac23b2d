package activities

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
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
	"github.com/sky-shift/skyctl/pkg/rke2/preflight"
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

// newKubeClient is one for the cluster's API.
func (a *Nodes) newKubeClient(ctx context.Context, ref api.Ref) (kubernetes.Interface, error) {
	c, err := readCluster(ctx, a.Store, ref)
	if err != nil {
		return nil, err
	}
	return newClusterClient(ctx, c, a.Store, a.Pool)
}

// Prepare puts RKE2's files onto a machine.
func (a *Nodes) Prepare(ctx context.Context, m MachineRef) error {
	return a.runStep(ctx, m, "install RKE2", func(ctx context.Context, at *machineStep) error {
		if at.cluster.Status.Artifacts == nil {
			return fmt.Errorf("no RKE2 release is pinned for the cluster")
		}
		h, err := a.connectToMachine(ctx, at)
		if err != nil {
			return err
		}
		install, cancel := withDeadline(ctx, a.Deadlines.Install)
		defer cancel()
		if err := preflight.CheckFitness(install, h, a.Now, at.say); err != nil {
			return err
		}
		if err := rke2.InstallRelease(install, h, *at.cluster.Status.Artifacts, at.say); err != nil {
			return err
		}
		if err := a.Home.writeMachineMark(install, h); err != nil {
			return err
		}
		return recordMachineState(ctx, a.Store, m, api.MachinePrepared, "", a.Now())
	})
}

// StartHead starts the RKE2 server, waits until agents may join it, and keeps the cluster's credentials.
func (a *Nodes) StartHead(ctx context.Context, m MachineRef) error {
	return a.runStep(ctx, m, "start the server", func(ctx context.Context, at *machineStep) error {
		password, err := a.Store.ReadSecret(ctx, m.Cluster, store.SecretAgentPassword)
		if err != nil {
			return err
		}
		at.say("starting the server")
		h, err := a.connectToMachine(ctx, at)
		if err != nil {
			return err
		}
		node := rke2NodeOf(at.record)
		node.AgentToken, node.TLSSANs = string(password), serverSANs(at.record)
		node.Anew = at.record.HasOutdatedConfig(at.record)
		if err := rke2.StartServer(ctx, h, node); err != nil {
			return err
		}
		wait, cancel := withDeadline(ctx, a.Deadlines.Server)
		defer cancel()
		if err := rke2.AwaitSupervisor(wait, h, at.say); err != nil {
			return err
		}
		if err := a.recordCredentials(ctx, at, h); err != nil {
			return err
		}
		return a.recordConfiguredFor(ctx, at)
	})
}

// AwaitServer waits until the head's Kubernetes API answers.
func (a *Nodes) AwaitServer(ctx context.Context, m MachineRef) error {
	return a.runStep(ctx, m, "wait for the Kubernetes API", func(ctx context.Context, at *machineStep) error {
		h, err := a.connectToMachine(ctx, at)
		if err != nil {
			return err
		}
		wait, cancel := withDeadline(ctx, a.Deadlines.Server)
		defer cancel()
		return rke2.AwaitServer(wait, h, at.say)
	})
}

// recordCredentials copies token and kubeconfig back into the store, and the kubeconfig to the person's files.
func (a *Nodes) recordCredentials(ctx context.Context, at *machineStep, h *remote.Host) error {
	ref := at.machine.Cluster
	creds, err := rke2.ReadCredentials(ctx, h)
	if err != nil {
		return err
	}
	way, err := a.chooseAPIAccess(ctx, at.record, ref)
	if err != nil {
		return err
	}
	kubeconfig, err := way.editKubeconfig(creds.Kubeconfig, at.record, ref.Name)
	if err != nil {
		return err
	}
	secrets := map[string][]byte{
		store.SecretServerToken: []byte(creds.ServerToken),
		store.SecretAgentToken:  []byte(creds.AgentToken),
		store.SecretKubeconfig:  kubeconfig,
	}
	if password := parseAgentPassword(creds.AgentToken); password != "" {
		secrets[store.SecretAgentPassword] = []byte(password)
	}
	for _, key := range slices.Sorted(maps.Keys(secrets)) {
		if err := a.Store.PutSecret(ctx, ref, key, secrets[key]); err != nil {
			return err
		}
	}
	if a.ClusterDir != nil {
		// A disk that is full here is no reason to give up a cluster: the kubeconfig is in the store.
		if err := kube.WriteKubeconfigFile(filepath.Join(a.ClusterDir(ref.Name), "kubeconfig"),
			kubeconfig); err != nil {
			activity.GetLogger(ctx).Warn("the kubeconfig could not be written; skyctl get kubeconfig prints it",
				"cluster", ref.Name, "error", err)
		}
	}
	_, err = a.Store.UpdateCluster(ctx, ref, func(c *api.Cluster) error {
		c.Status.Endpoint, c.Status.TunnelPort = way.endpoint, way.port
		return nil
	})
	return err
}

// Join starts the RKE2 agent of a worker against the head's supervisor, and waits until its unit is up.
func (a *Nodes) Join(ctx context.Context, m MachineRef) error {
	return a.runStep(ctx, m, "join the cluster", func(ctx context.Context, at *machineStep) error {
		head, err := at.cluster.Head()
		if err != nil {
			return err
		}
		token, err := a.Store.ReadSecret(ctx, m.Cluster, store.SecretAgentToken)
		if err != nil {
			return err
		}
		at.say("joining the cluster")
		h, err := a.connectToMachine(ctx, at)
		if err != nil {
			return err
		}
		node := rke2NodeOf(at.record)
		node.Server = "https://" + net.JoinHostPort(head.PrivateAddress, strconv.Itoa(rke2.SupervisorPort))
		node.Anew = at.record.HasOutdatedConfig(head)
		if err := rke2.JoinAgent(ctx, h, node, string(token)); err != nil {
			return err
		}
		wait, cancel := withDeadline(ctx, a.Deadlines.Agent)
		defer cancel()
		needs := []portRoute{{at.record, head, preflight.HeadSupervisorPort}, {at.record, head, preflight.HeadAPIPort}}
		err = a.runWhileReachable(wait, at, needs, nil,
			func(ctx context.Context) error { return rke2.AwaitAgent(ctx, h, at.say) })
		if err != nil {
			return err
		}
		return a.recordConfiguredFor(ctx, at)
	})
}

// AwaitNode waits until the machine's Node is Ready.
func (a *Nodes) AwaitNode(ctx context.Context, m MachineRef) error {
	return a.runStep(ctx, m, "wait for the Node", func(ctx context.Context, at *machineStep) error {
		at.say("waiting for the Node to be Ready")
		client, err := a.newKubeClient(ctx, m.Cluster)
		if err != nil {
			return err
		}
		wait, cancel := withDeadline(ctx, a.Deadlines.Node)
		defer cancel()
		err = a.awaitNodeReachable(wait, at, func(ctx context.Context) error {
			return kube.AwaitNodeReady(ctx, client, m.NodeName, at.say)
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

// journalLines is how much of a machine's log a person is shown.
const journalLines = 20

// Diagnose returns the last lines that the machine's RKE2 unit had to say; none where the machine never came up, or is
// gone.
func (a *Nodes) Diagnose(ctx context.Context, m MachineRef) (lines []string, err error) {
	lines, err = a.readJournal(ctx, m)
	return lines, stepError(ctx, "read the log", m.Name, err)
}

func (a *Nodes) readJournal(ctx context.Context, m MachineRef) ([]string, error) {
	c, err := readCluster(ctx, a.Store, m.Cluster)
	if err != nil {
		return nil, err
	}
	record, err := findMachineRecord(c, m)
	if err != nil || record.Address == "" || record.State == api.MachineGone {
		return nil, err
	}
	key, err := a.Store.ReadSecret(ctx, m.Cluster, store.SecretSSHKey)
	if err != nil {
		return nil, err
	}
	h, err := a.Pool.GetHost(ctx, sshTargetOf(record), key)
	if err != nil {
		return nil, err
	}
	return rke2.ReadJournal(ctx, h, m.Role, journalLines)
}

// machineStep is a machine as a step finds it in etcd, and the way to tell people what is being done to it.
type machineStep struct {
	machine MachineRef
	cluster *api.Cluster
	record  *api.Machine
	say     func(string)
}

// runStep runs one step on a machine. An error carries the step and the machine to the workflow; one that is tried
// again is told to people meanwhile.
func (a *Nodes) runStep(ctx context.Context, m MachineRef, step string,
	work func(context.Context, *machineStep) error) error {
	return a.runStepThoughLost(ctx, m, step, func(ctx context.Context, at *machineStep) error {
		return a.runUnlessLost(ctx, at, work)
	})
}

// runStepThoughLost does work as do does, and goes on with it though the machine may be lost.
func (a *Nodes) runStepThoughLost(ctx context.Context, m MachineRef, step string,
	work func(context.Context, *machineStep) error) error {
	at := &machineStep{machine: m, say: newProgressReporter(ctx, a.Store, m, a.Now)}
	var err error
	for try := 1; ; try++ {
		if at.cluster, err = readCluster(ctx, a.Store, m.Cluster); err == nil {
			if at.record, err = findMachineRecord(at.cluster, m); err == nil {
				err = work(ctx, at)
			}
		}
		if try == stepTries || ctx.Err() != nil || !isRetryable(err) {
			break
		}
		at.say("trying again to " + step + ": " + redact.Text(err.Error()))
		select {
		case <-ctx.Done():
		case <-time.After(stepRetryDelay):
		}
	}
	err = stepError(ctx, step, m.Name, err)
	var applied *temporal.ApplicationError
	if errors.As(err, &applied) && !applied.NonRetryable() {
		at.say("trying again to " + step + ": " + applied.Message())
	}
	return err
}

// What a machine says no to, it mostly says no to again. The tries are counted here and not by Temporal, which also
// counts those that a killed worker left behind.
const (
	stepTries      = 3
	stepRetryDelay = 2 * time.Second
)

// isRetryable says whether a command on the machine, or RKE2 there, failed in a way that may pass.
func isRetryable(err error) bool {
	var (
		run    *remote.RunError
		shell  *remote.ShellFailed
		ofRKE2 *rke2.Error
	)
	if errors.As(err, &ofRKE2) {
		return !ofRKE2.Permanent && ofRKE2.Kind != rke2.SourceUnreachable
	}
	return errors.As(err, &run) || errors.As(err, &shell)
}

// connectToMachine returns a connection to the machine, and pins its host key where this is the first contact.
func (a *Nodes) connectToMachine(ctx context.Context, at *machineStep) (*remote.Host, error) {
	key, err := a.Store.ReadSecret(ctx, at.machine.Cluster, store.SecretSSHKey)
	if err != nil {
		return nil, err
	}
	wait, cancel := withDeadline(ctx, a.Deadlines.Reach)
	defer cancel()
	h, err := a.Pool.AwaitHost(wait, sshTargetOf(at.record), key, at.say)
	if err != nil || at.record.HostKey != "" {
		return h, err
	}
	_, err = a.Store.UpdateMachine(ctx, at.machine.Cluster, at.record.Index, at.record.Incarnation,
		func(r *api.Machine) error {
			if r.HostKey != "" && r.HostKey != h.HostKey() {
				return fmt.Errorf("machine %s showed two host keys on its first contacts", r.Name)
			}
			r.HostKey = h.HostKey()
			return nil
		})
	return h, err
}

func sshTargetOf(r *api.Machine) remote.Target {
	return remote.Target{Name: r.Name, Address: r.Address, Port: r.SSHPort, User: r.SSHUser, HostKey: r.HostKey}
}

func rke2NodeOf(r *api.Machine) rke2.Node {
	return rke2.Node{
		Role: r.Role, NodeName: r.NodeName, NodeIP: r.PrivateAddress, ExternalIP: externalAddress(r),
		CPUs: r.CPUs, MemoryGiB: r.MemoryGiB,
	}
}

// externalAddress is the machine's address outside of its private network, where it has one of its own.
func externalAddress(r *api.Machine) string {
	if r.Address == r.PrivateAddress {
		return ""
	}
	return r.Address
}

// serverSANs are the names under which the head's API is reached.
func serverSANs(r *api.Machine) []string {
	if ext := externalAddress(r); ext != "" {
		return []string{ext, r.PrivateAddress, r.Name}
	}
	return []string{r.PrivateAddress, r.Name}
}
