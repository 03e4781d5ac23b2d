package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/kube/kubefile"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/store"
)

const (
	fleetClusters = 1000
	fleetNodes    = 3 // of each cluster
)

// fleet is many healthy clusters: an engine that lists their machines, and a Kubernetes API per cluster.
type fleet struct {
	engine  *engineStub
	apis    []*kubeAPIStub
	members []*fleetCluster
	asked   atomic.Int64 // lists of nodes
	// silent is the SSH port of every machine, which accepts connections and never answers.
	silent net.Listener
	key    []byte // the login key; one for all, because it is not used
}

// fleetCluster is one cluster as etcd has it.
type fleetCluster struct {
	cluster  *api.Cluster
	machines []api.Machine
}

func (b *bench) newFleet(ctx context.Context, network string) (*fleet, error) {
	f := &fleet{}
	var err error
	if f.engine, err = startEngineStub(ctx, network); err != nil {
		return nil, err
	}
	b.addCleanup(f.engine.close)
	if f.silent, err = new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	b.addCleanup(f.silent.Close)
	if f.key, _, err = remote.NewKeyPair(); err != nil {
		return nil, err
	}
	hostKey, err := remote.PublicKeyOf(f.key)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(b.dir, "authorities")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	net := 192 + rand.IntN(63) // loopback addresses; other programs may use some of them
	for i := range fleetClusters {
		m := f.newFleetCluster(i, fmt.Sprintf("127.%d.%d.%d", net, i/250, i%250+1), hostKey)
		f.members = append(f.members, m)
		names := make([]string, fleetNodes)
		for n := range names {
			names[n] = m.machines[n].NodeName
		}
		f.apis = append(f.apis, newKubeAPIStub(m.cluster.Metadata.Name, names, &f.asked))
	}
	b.addCleanup(f.stopAPIs)
	var group errgroup.Group
	group.SetLimit(16)
	for i, k := range f.apis {
		group.Go(func() error { return k.startServing(ctx, dir, f.members[i].machines[0].Address+":6443") })
	}
	return f, group.Wait()
}

func (f *fleet) stopAPIs() error {
	var errs []error
	for _, k := range f.apis {
		errs = append(errs, k.stop())
	}
	return errors.Join(errs...)
}

// newFleetCluster returns a cluster that has been READY for days.
func (f *fleet) newFleetCluster(i int, address, hostKey string) *fleetCluster {
	at := longAgo.UTC()
	place := api.Placement{Cloud: "docker", Region: "local", CPUs: 2, MemoryGiB: 8, DiskGiB: 80}
	spec := api.GroupSpec{Manager: "k8", Cloud: "docker", CPUs: "2+", Memory: "8+", DiskSize: 80,
		NumNodes: fleetNodes, Provision: true}
	name := fmt.Sprintf("fleet-%04d", i)
	c := api.NewCluster(name, fmt.Sprintf("00000000-0000-4000-8000-%012d", i), spec,
		map[string]string{"team": "research"}, at)
	c.Status.SetPhase(api.PhaseProvisioning, "", at)
	for _, t := range []api.ConditionType{api.MachinesLaunched, api.MachinesPrepared, api.ControlPlaneReady,
		api.NodesReady} {
		c.Status.SetCondition(api.Condition{Type: t, Status: api.ConditionTrue}, at)
	}
	c.Status.SetPhase(api.PhaseReady, "", at)
	c.Status.Placement, c.Status.Endpoint = &place, "https://"+address+":6443"
	c.Status.Versions = api.Versions{RKE2: kubeletVersion, Kubernetes: kubeletVersion}
	c.Status.Artifacts = &api.Artifacts{Version: kubeletVersion, Source: config.RKE2Release,
		SHA256: map[string]string{"amd64": fmt.Sprintf("%064x", i)}}
	m := &fleetCluster{cluster: c}
	for n := range fleetNodes {
		on := api.NewMachine(name, n, poolAt(n), "abcde", place, at)
		on.State, on.CloudID, on.HostKey = api.MachineReady, fmt.Sprintf("%06d", fleetNodes*i+n), hostKey
		on.Address, on.PrivateAddress = "127.0.0.1", fmt.Sprintf("10.0.0.%d", n+1)
		on.SSHUser, on.SSHPort = "sky", f.silent.Addr().(*net.TCPAddr).Port
		on.LaunchedAt, on.ReadyAt = at, at
		if n == 0 {
			on.Address = address
		}
		m.machines = append(m.machines, on)
	}
	return m
}

// storeClusters writes all clusters to etcd, makes the engine list their machines, and writes their kubeconfigs to the
// user's directory.
func (f *fleet) storeClusters(ctx context.Context, cfg *config.Config, s *store.Store) error {
	var err error
	if f.engine.installation, err = s.EnsureInstallationID(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for i, m := range f.members {
		name := m.cluster.Metadata.Name
		owner := cloud.Owner{Installation: f.engine.installation, Cluster: name, ClusterUID: m.cluster.Metadata.UID}
		for _, on := range m.machines {
			f.engine.addHost(cloud.Machine{Owner: owner, Name: on.Name, Index: on.Index, Incarnation: on.Incarnation,
				ID: on.CloudID, HostKey: on.HostKey,
				Address: fmt.Sprintf("172.30.%d.%d", i/250, i%250+1)})
		}
		group.Go(func() error {
			if _, err := s.CreateCluster(ctx, m.cluster); err != nil {
				return err
			}
			if err := s.PutMachines(ctx, m.cluster.Ref(), m.machines); err != nil {
				return err
			}
			for key, secret := range map[string][]byte{store.SecretKubeconfig: f.apis[i].kubeconfig,
				store.SecretSSHKey: f.key} {
				if err := s.PutSecret(ctx, m.cluster.Ref(), key, secret); err != nil {
					return err
				}
			}
			return kubefile.WriteEntries(filepath.Join(cfg.ClusterDir(name), "kubeconfig"), f.apis[i].kubeconfig)
		})
	}
	return group.Wait()
}

// queryWithClientGo makes the requests of a sweep to all APIs with plain client-go, as many at a time as a sweep.
func (f *fleet) queryWithClientGo(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(64)
	for _, k := range f.apis {
		group.Go(func() error {
			c, err := clientcmd.RESTConfigFromKubeConfig(k.kubeconfig)
			if err != nil {
				return err
			}
			c.ContentType, c.Timeout = "application/vnd.kubernetes.protobuf", time.Minute
			client, err := kubernetes.NewForConfig(c)
			if err != nil {
				return err
			}
			nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
			if err != nil {
				return err
			}
			if len(nodes.Items) != fleetNodes {
				return fmt.Errorf("%s has %d nodes", k.name, len(nodes.Items))
			}
			_, err = client.CoreV1().Pods("").List(ctx,
				metav1.ListOptions{FieldSelector: "status.phase!=Succeeded,status.phase!=Failed", Limit: 500})
			return err
		})
	}
	return group.Wait()
}

// poolAt is the pool of a machine: the first one is the head.
func poolAt(index int) string {
	if index == 0 {
		return ""
	}
	return api.DefaultPool
}
