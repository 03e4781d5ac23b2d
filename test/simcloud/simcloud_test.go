package simcloud_test

import (
	"context"
	"net"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/kube"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/needs"
	"github.com/sky-shift/skyctl/test/simcloud"
)

var owner = cloud.Owner{Installation: "here", Cluster: "c", ClusterUID: "uid-c"}

const head, worker = "sky-c-0", "sky-c-1"

// pair is a cluster of two machines, installed by the project's own code.
type pair struct {
	*simcloud.Cloud
	t      *testing.T
	ctx    context.Context
	key    []byte
	pool   *remote.Pool
	pinned map[string]string // host keys
}

func newPair(t *testing.T) *pair {
	t.Helper()
	needs.Root(t)
	t.Parallel()
	key, _, err := remote.NewKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	ctx := eventually.Context(t, 5*time.Minute)
	p := &pair{Cloud: simcloud.New(simcloud.RegionPlacement("here")), t: t, ctx: ctx, key: key, pool: remote.NewPool(0),
		pinned: map[string]string{}}
	t.Cleanup(p.Close)
	t.Cleanup(p.pool.Close)
	return p
}

func (p *pair) check(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *pair) launch(index int) {
	p.t.Helper()
	public, err := remote.PublicKeyOf(p.key)
	p.check(err)
	hostKey, _, err := remote.NewKeyPair()
	p.check(err)
	role := api.RoleWorker
	if index == 0 {
		role = api.RoleHead
	}
	_, err = p.SubmitLaunch(p.ctx, cloud.LaunchRequest{
		Owner: owner, Name: api.MachineName("c", index), Index: index, Role: role, Incarnation: "bcdfg",
		Placement:     simcloud.RegionPlacement("here"),
		AuthorizedKey: public, HostKey: hostKey,
	})
	p.check(err)
}

func (p *pair) host(name string) *remote.Host {
	p.t.Helper()
	m := p.ExistingMachines(name)[0]
	h, err := p.pool.AwaitHost(p.ctx, remote.Target{Name: name, Address: m.Address, Port: m.SSHPort, User: "root",
		HostKey: m.HostKey}, p.key, nil)
	p.check(err)
	return h
}

func (p *pair) up() kubernetes.Interface {
	p.t.Helper()
	p.launch(0)
	p.launch(1)
	p.install(head)
	p.install(worker)
	address := p.startServer()
	creds, err := rke2.ReadCredentials(p.ctx, p.host(head))
	p.check(err)
	p.check(rke2.JoinAgent(p.ctx, p.host(worker), rke2.Node{
		Role: api.RoleWorker, NodeName: worker, NodeIP: p.ExistingMachines(worker)[0].Address, Server: "https://" +
			net.JoinHostPort(address, "9345"),
		Labels: map[string]string{"tier": "web"}, Taints: []string{"dedicated=web:NoSchedule"},
	}, creds.AgentToken))
	p.check(rke2.AwaitAgent(p.ctx, p.host(worker), nil))
	edited, err := kube.EditKubeconfig(creds.Kubeconfig, "c", "https://"+net.JoinHostPort(address, "6443"))
	p.check(err)
	client, err := kube.NewClient(edited)
	p.check(err)
	p.check(kube.AwaitNodeReady(p.ctx, client, worker, nil))
	return client
}

func (p *pair) install(name string) {
	p.t.Helper()
	dir := p.t.TempDir()
	p.check(simcloud.WriteRelease(dir))
	release, err := rke2.ResolveArtifacts(p.ctx, simcloud.Version, dir, "")
	p.check(err)
	p.check(rke2.InstallRelease(p.ctx, p.host(name), release, nil, nil))
}

// startServer starts the head's server and returns its address.
func (p *pair) startServer() string {
	p.t.Helper()
	address := p.ExistingMachines(head)[0].Address
	p.check(rke2.StartServer(p.ctx, p.host(head),
		rke2.Node{Role: api.RoleHead, NodeName: head, NodeIP: address, AgentToken: "secret",
			SnapshotEvery: time.Hour}))
	p.check(rke2.AwaitServer(p.ctx, p.host(head), nil))
	return address
}

func (p *pair) ready(client kubernetes.Interface, node string) bool {
	p.t.Helper()
	ready, _, err := kube.CheckNodesReady(p.ctx, client, []string{node})
	p.check(err)
	return len(ready) == 1
}

func TestNodeRegistersWithItsLabelsAndTaints(t *testing.T) {
	p := newPair(t)
	node, err := p.up().CoreV1().Nodes().Get(p.ctx, worker, metav1.GetOptions{})
	p.check(err)
	want := []corev1.Taint{{Key: "dedicated", Value: "web", Effect: corev1.TaintEffectNoSchedule}}
	if node.Labels["tier"] != "web" || !slices.Equal(node.Spec.Taints, want) {
		t.Errorf("labels %v, taints %v", node.Labels, node.Spec.Taints)
	}
}

func TestDeletedNodeReturnsWhenItsUnitRestarts(t *testing.T) {
	p := newPair(t)
	client := p.up()
	p.check(p.AddPod(owner.ClusterUID, worker, "default/web", "web"))
	_, err := kube.DrainNode(p.ctx, client, worker, kube.DrainOptions{Timeout: time.Minute})
	p.check(err)
	if left := p.ListPods(owner.ClusterUID, worker); len(left) != 0 {
		t.Errorf("pods remain on a drained node: %q", left)
	}
	p.check(kube.DeleteNode(p.ctx, client, worker))
	if nodes, passwords, _ := p.ListNodes(owner.ClusterUID); !slices.Equal(nodes, []string{head}) ||
		!slices.Equal(passwords, []string{head}) {
		t.Errorf("nodes %q, passwords %q", nodes, passwords)
	}
	p.check(rke2.RestartUnit(p.ctx, p.host(worker), api.RoleWorker))
	p.check(kube.AwaitNodeReady(p.ctx, client, worker, nil))
}

func TestNodeFollowsItsMachineAndOutlivesIt(t *testing.T) {
	p := newPair(t)
	client := p.up()
	p.check(p.MakeNodeNotReady(worker, false))
	if p.ready(client, worker) {
		t.Error("the node is Ready although it is sick")
	}
	p.check(rke2.RestartUnit(p.ctx, p.host(worker), api.RoleWorker))
	p.check(kube.AwaitNodeReady(p.ctx, client, worker, nil))
	p.check(p.StopUnit(worker, "failed"))
	if u, err := rke2.ReadUnitState(p.ctx, p.host(worker), api.RoleWorker); err != nil || u.Active != "failed" ||
		u.For > time.Minute || p.ready(client, worker) {
		t.Errorf("unit %+v, %v", u, err)
	}
	p.check(rke2.RestartUnit(p.ctx, p.host(worker), api.RoleWorker))
	p.check(kube.AwaitNodeReady(p.ctx, client, worker, nil))
	p.LoseMachine(worker)
	nodes, _, _ := p.ListNodes(owner.ClusterUID)
	if p.ready(client, worker) || !slices.Contains(nodes, worker) {
		t.Errorf("nodes %q", nodes)
	}
}

func TestStoppedMachineIsListedAndStartsAgain(t *testing.T) {
	p := newPair(t)
	client := p.up()
	for _, name := range []string{worker, head} {
		p.check(p.StopMachine(name))
		if s := p.ExistingMachines(name)[0].State; s != cloud.StateStopped {
			t.Errorf("%s is %s", name, s)
		}
		m, err := p.StartMachine(p.ctx, cloud.TargetOf(p.ExistingMachines(name)[0]), "")
		p.check(err)
		if m.State != cloud.StateRunning {
			t.Errorf("%s is %s", name, m.State)
		}
		p.check(kube.AwaitNodeReady(p.ctx, client, name, nil))
	}
}

func TestRestartRenewsCertificates(t *testing.T) {
	p := newPair(t)
	p.SetCertificateLifetime(head, time.Hour)
	p.up()
	for _, want := range []bool{false, true} {
		creds, err := rke2.ReadCredentials(p.ctx, p.host(head))
		p.check(err)
		expire, err := kube.KubeconfigExpiry(creds.Kubeconfig)
		p.check(err)
		if long := time.Until(expire) > 24*time.Hour; long != want {
			t.Errorf("valid until %s", expire)
		}
		p.check(rke2.RestartUnit(p.ctx, p.host(head), api.RoleHead))
	}
}

func TestConnectionsMeetInjectedFaults(t *testing.T) {
	p := newPair(t)
	p.launch(1)
	cut := p.CutSSH(worker, simcloud.Cut{Seen: "sleep", Late: 50 * time.Millisecond, Times: 1})
	if _, err := p.host(worker).RunScript(p.ctx, "resting", "sleep 60"); !remote.IsLost(err) ||
		p.CountCuts(worker, cut) != 1 {
		t.Errorf("cut in a command: %v", err)
	}
	cut = p.CutSSH(worker, simcloud.Cut{Seen: "head -c 100000", After: 50000, Times: 1})
	if err := p.host(worker).WriteFile(p.ctx, "/opt/x", make([]byte, 100000), 0o600); !remote.IsLost(err) ||
		p.CountCuts(worker, cut) != 1 {
		t.Errorf("cut in an upload: %v", err)
	}
	p.FillDisk(worker, true)
	if err := p.host(worker).WriteFile(p.ctx, "/opt/x", make([]byte, 100000), 0o600); err == nil || remote.IsLost(err) {
		t.Errorf("a full disk: %v", err)
	}
	p.FillDisk(worker, false)
	p.check(p.host(worker).WriteFile(p.ctx, "/opt/x", make([]byte, 100000), 0o600))
	m := p.ExistingMachines(worker)[0]
	target := remote.Target{Name: worker, Address: m.Address, Port: m.SSHPort, User: "root", HostKey: m.HostKey}
	p.check(p.SetImpostor(worker, true))
	if _, err := remote.Dial(p.ctx, target, p.key); err == nil || remote.IsLost(err) {
		t.Errorf("another host key: %v", err)
	}
	p.check(p.SetImpostor(worker, false))
	p.SilenceSSH(worker, true)
	soon, cancel := context.WithTimeout(p.ctx, 200*time.Millisecond)
	defer cancel()
	if _, err := remote.Dial(soon, target, p.key); !remote.IsLost(err) {
		t.Errorf("silence: %v", err)
	}
}

func TestTerminatedMachineStaysListedForAWhile(t *testing.T) {
	p := newPair(t)
	p.launch(1)
	p.KeepListed(worker, 2*time.Hour)
	p.LoseMachine(worker)
	listed, err := p.ListMachines(p.ctx, owner)
	p.check(err)
	if len(listed) != 1 || len(p.ExistingMachines(worker)) != 0 {
		t.Errorf("listed %+v", listed)
	}
}

func TestMachineSurvivesItsTerminationUnseen(t *testing.T) {
	p := newPair(t)
	p.launch(1)
	p.SurviveTermination(worker)
	survivor := p.ExistingMachines(worker)[0]
	p.check(p.TerminateMachine(p.ctx, cloud.TargetOf(survivor)))
	if listed, err := p.ListMachines(p.ctx, owner); err != nil || len(listed) != 0 {
		t.Errorf("listed %+v, %v", listed, err)
	}
	p.check(p.HideMachine(survivor.ID, false))
	if listed, err := p.ListMachines(p.ctx, owner); err != nil || len(listed) != 1 || listed[0].ID != survivor.ID {
		t.Errorf("listed %+v, %v", listed, err)
	}
}

func TestHiddenMachineRunsAlthoughTheListLacksIt(t *testing.T) {
	p := newPair(t)
	p.launch(1)
	hidden := p.ExistingMachines(worker)[0]
	p.check(p.HideMachine(hidden.ID, true))
	p.launch(1)
	listed, err := p.ListMachines(p.ctx, owner)
	p.check(err)
	if len(listed) != 1 || listed[0].ID == hidden.ID || len(p.ExistingMachines(worker)) != 2 {
		t.Errorf("listed %+v", listed)
	}
	p.check(p.HideMachine(hidden.ID, false))
	if listed, err = p.ListMachines(p.ctx, owner); err != nil || len(listed) != 2 {
		t.Errorf("listed %+v, %v", listed, err)
	}
}
