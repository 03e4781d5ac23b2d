package e2e

import (
	"bytes"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
	skytest "github.com/sky-shift/skyctl/test/skypilot"
)

// moved stops the server and then a worker in the cloud's console. They come back at other addresses, public and
// private, and everything follows: the record, RKE2's configuration, etcd's own address, the certificate, the
// kubeconfig and the workers.
func (w *skyWorld) moved(t *testing.T) {
	r := w.tryFor(10*time.Minute, "create", "cluster", "moved", "--provision", "--cloud", "aws", "--cpus", "2",
		"--memory", "4", "--num_nodes", "2", "--wait")
	if r.code != 0 {
		t.Fatalf("create: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	w.kubectl("moved", "create", "configmap", "kept")
	before := w.cluster("moved")
	after := w.stopInConsole(t, before, 0)
	head := after.Status.Machines[0]
	certificate := w.servingCertificate(t, head.Address)
	for _, name := range []string{head.Address, head.PrivateAddress, head.Name} {
		if err := certificate.Leaf.VerifyHostname(name); err != nil {
			t.Errorf("the certificate of the API: %v", err)
		}
	}
	stored, err := w.store().ReadSecret(t.Context(), after.Ref(), store.SecretKubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(w.dir, "clusters", "moved", "kubeconfig"))
	if err != nil || !bytes.Equal(file, stored) || !strings.Contains(string(file), "https://"+head.Address+":6443") ||
		!strings.Contains(after.Status.Endpoint, head.Address) {
		t.Errorf("the kubeconfig for %s (%v), endpoint %s:\n%s", head.Address, err, after.Status.Endpoint, file)
	}
	if out := w.kubectl("moved", "get", "configmaps"); !strings.Contains(out, "kept") {
		t.Errorf("the state is gone:\n%s", out)
	}
	w.holdNodesAtTheirAddresses(t, after)
	w.holdNodesAtTheirAddresses(t, w.stopInConsole(t, after, 1))
	w.delete(t, "moved")
}

// stopInConsole stops a machine without SkyPilot, and waits until it is back.
func (w *skyWorld) stopInConsole(t *testing.T, before api.Cluster, index int) api.Cluster {
	t.Helper()
	was := before.Status.Machines[index]
	own := w.instances(t, "moved")
	at := slices.IndexFunc(own, func(i skytest.Instance) bool { return i.ID == was.CloudID })
	if at < 0 {
		t.Fatalf("AWS has %+v, not %s", own, was.CloudID)
	}
	if err := w.env.AWS.StopInstance(t.Context(), own[at]); err != nil {
		t.Fatal(err)
	}
	w.try("reconcile", "moved", "--wait")
	after := w.await("moved", "in sync at another address", func(c api.Cluster) bool {
		in, now := c.Status.FindCondition(api.InSync), c.Status.Machines[index]
		if now.Address == was.Address || in == nil || in.Status != api.ConditionTrue || len(c.Status.Drift) > 0 {
			w.try("reconcile", "moved")
			return false
		}
		return c.Status.Phase == api.PhaseReady
	})
	if now := after.Status.Machines[index]; now.PrivateAddress == was.PrivateAddress || now.CloudID != was.CloudID ||
		now.HostKey != was.HostKey || now.NodeName != was.NodeName {
		t.Errorf("machine %d was %+v and is %+v", index, was, now)
	}
	return after
}

// servingCertificate returns the certificate that the API of a server shows.
func (w *skyWorld) servingCertificate(t *testing.T, address string) tls.Certificate {
	t.Helper()
	conn, err := tls.Dial("tcp", net.JoinHostPort(address, "6443"), //nolint:noctx // at once
		&tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the test compares its names
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return tls.Certificate{Leaf: conn.ConnectionState().PeerCertificates[0]}
}

// holdNodesAtTheirAddresses checks that each machine is configured for its own private address and for the server's,
// and waits until the Nodes are Ready at these: as after any restart of the server, a cluster is in sync too while a
// Node is not Ready for a moment.
func (w *skyWorld) holdNodesAtTheirAddresses(t *testing.T, c api.Cluster) {
	t.Helper()
	head := &c.Status.Machines[0]
	for _, m := range c.Status.Machines {
		if m.HasOutdatedConfig(head) {
			t.Errorf("%s at %s is configured for %s", m.NodeName, m.PrivateAddress, m.ConfiguredFor)
		}
	}
	w.holds("the Nodes are Ready at their machines' addresses", func() bool {
		nodes := w.kubectl("moved", "get", "nodes", "-o", `jsonpath={range .items[*]}{.metadata.name} `+
			`{.status.addresses[?(@.type=="InternalIP")].address} `+
			`{.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}`)
		return !slices.ContainsFunc(c.Status.Machines, func(m api.Machine) bool {
			return !strings.Contains(nodes, m.NodeName+" "+m.PrivateAddress+" True\n")
		})
	})
}
