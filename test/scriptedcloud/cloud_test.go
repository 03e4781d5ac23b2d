package scriptedcloud_test

import (
	"context"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/kube"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/rke2/preflight"
	"github.com/sky-shift/skyctl/test/scriptedcloud"
	"github.com/sky-shift/skyctl/test/simcloud"
)

// installer prepares machines of a cloud as operations do.
type installer struct {
	t       *testing.T
	cloud   *scriptedcloud.Cloud
	release api.Artifacts
	key     []byte
	public  string
}

// launch launches a machine, and connects to it.
func (i *installer) launch(name string, role api.Role) (cloud.Machine, *remote.Host) {
	i.t.Helper()
	hostKey, _, err := remote.NewKeyPair()
	i.check(err)
	req := cloud.LaunchRequest{Owner: cloud.Owner{Installation: "i", Cluster: "c", ClusterUID: "u"}, Name: name,
		Role: role, AuthorizedKey: i.public, HostKey: hostKey}
	ref, err := i.cloud.SubmitLaunch(i.t.Context(), req)
	i.check(err)
	m, err := i.cloud.AwaitLaunch(i.t.Context(), req, ref, func(string) {})
	i.check(err)
	h, err := remote.Dial(i.t.Context(), remote.Target{Name: name, Address: m.Address, Port: m.SSHPort, User: m.SSHUser,
		HostKey: m.HostKey}, i.key)
	i.check(err)
	i.t.Cleanup(func() { _ = h.Close() })
	_, found, err := preflight.CheckMachine(i.t.Context(), h, preflight.Requirements{Role: role}, time.Now, nil)
	if i.check(err); len(found) > 0 {
		i.t.Errorf("found wrong with %s: %v", name, found)
	}
	i.check(rke2.InstallRelease(i.t.Context(), h, i.release, nil, nil))
	return m, h
}

func (i *installer) check(err error) {
	i.t.Helper()
	if err != nil {
		i.t.Fatal(err)
	}
}

func TestScriptsOfACreateAreAnswered(t *testing.T) {
	const delay = 20 * time.Millisecond
	i := &installer{t: t, cloud: scriptedcloud.New(scriptedcloud.Delays{Boot: delay, Install: delay, Server: delay,
		Join: delay, Node: delay})}
	t.Cleanup(i.cloud.Close)
	dir := t.TempDir()
	i.check(simcloud.WriteRelease(dir))
	var err error
	i.release, err = rke2.ResolveArtifacts(t.Context(), simcloud.Version, dir, "")
	i.check(err)
	i.key, i.public, err = remote.NewKeyPair()
	i.check(err)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	began := time.Now()

	m, head := i.launch("head", api.RoleHead)
	i.check(rke2.StartServer(ctx, head, rke2.Node{Role: api.RoleHead, NodeName: "head", NodeIP: m.PrivateAddress,
		AgentToken: "0123"}))
	i.check(rke2.AwaitServer(ctx, head, nil))
	creds, err := rke2.ReadCredentials(ctx, head)
	i.check(err)
	w, worker := i.launch("worker", api.RoleWorker)
	i.check(rke2.JoinAgent(ctx, worker, rke2.Node{Role: api.RoleWorker, NodeName: "worker", NodeIP: w.PrivateAddress,
		Server: "https://" + m.PrivateAddress + ":9345", Labels: map[string]string{"a": "b"}}, creds.AgentToken))
	i.check(rke2.AwaitAgent(ctx, worker, nil))
	contact, err := preflight.ProbePort(ctx, worker, m.PrivateAddress, preflight.HeadAPIPort)
	if err != nil || contact != preflight.PortOpen {
		t.Errorf("the head's API is %s, %v", contact, err)
	}

	kubeconfig, err := kube.EditKubeconfig(creds.Kubeconfig, "c", "https://"+m.Address+":6443")
	i.check(err)
	config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	i.check(err)
	client, err := kubernetes.NewForConfig(config)
	i.check(err)
	i.check(kube.AwaitNodeReady(ctx, client, "worker", nil))
	if took, all := time.Since(began), 7*delay; took < all {
		t.Errorf("it took %s, less than its delays of %s", took, all)
	}
}
