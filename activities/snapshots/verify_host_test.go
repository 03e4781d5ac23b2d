package snapshots

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker"
	"github.com/sky-shift/skyctl/pkg/etcdsnapshot"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/needs"
)

// workloads are what must not run where a snapshot is verified: a Job each minute, and a pod on every node whatever its
// taints.
const workloads = `
apiVersion: batch/v1
kind: CronJob
metadata: {name: each-minute}
spec:
  schedule: "* * * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          tolerations: [{operator: Exists}]
          containers: [{name: hello, image: "docker.io/skyctl/hello:kit", imagePullPolicy: Never}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: everywhere}
spec:
  selector: {matchLabels: {app: everywhere}}
  template:
    metadata: {labels: {app: everywhere}}
    spec:
      hostNetwork: true
      tolerations: [{operator: Exists}]
      containers: [{name: hello, image: "docker.io/skyctl/hello:kit", imagePullPolicy: Never}]
`

// lab has a real cluster of one server with workloads, its snapshot, and a verifier.
type lab struct {
	t        *testing.T
	ctx      context.Context
	cloud    *docker.Cloud
	owner    cloud.Owner
	verifier *Verifier
	kit      rke2.Source
	// server is the machine of the cluster, and login the key to it.
	pool   *remote.Pool
	server remote.Target
	login  []byte
}

// labTime is how long all of a lab may take on a busy computer.
const labTime = 20 * time.Minute

func newLab(t *testing.T) *lab {
	t.Helper()
	needs.Docker(t)
	needs.Kit(t)
	out, err := exec.Command("../../test/rke2kit/build.sh").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := strings.TrimSpace(string(out))
	version, err := os.ReadFile(filepath.Join(dir, "version"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := docker.New(docker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), labTime)
	st := store.New(client, "/"+t.Name(), make([]byte, 32))
	installation, err := st.EnsureInstallationID(ctx)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, ctx: ctx, cloud: c, pool: remote.NewPool(time.Minute),
		kit:   rke2.Source{Version: strings.TrimSpace(string(version)), Source: dir},
		owner: cloud.Owner{Installation: installation, Cluster: "prod", ClusterUID: rand.Text()}}
	l.verifier = &Verifier{Store: st, Now: time.Now, RKE2: l.kit, Deadlines: activities.DefaultDeadlines(),
		Clouds: activities.Clouds{Named: map[string]cloud.Cloud{docker.Name: c}},
		Files:  &activities.SnapshotFiles{Store: st, Dir: t.TempDir(), QuotaBytes: 1 << 30}}
	t.Cleanup(func() {
		cancel()
		l.pool.Close()
		l.endMachines()
		_ = c.Close()
		_ = client.Close()
	})
	return l
}

func (l *lab) check(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) endMachines() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	left, err := l.cloud.ListMachines(ctx, l.owner)
	for _, m := range left {
		err = l.cloud.TerminateMachine(ctx, cloud.TargetOf(m))
	}
	if err == nil {
		err = l.cloud.RemoveClusterResources(ctx, l.owner)
	}
	if err != nil {
		l.t.Errorf("clean up: %v", err)
	}
}

// startCluster starts a server of a cluster with workloads, on a host of the docker cloud.
func (l *lab) startCluster() {
	l.t.Helper()
	login, public, err := remote.NewKeyPair()
	l.check(err)
	hostKey, _, err := remote.NewKeyPair()
	l.check(err)
	req := cloud.LaunchRequest{Owner: l.owner, Name: "sky-verify-" + strings.ToLower(rand.Text()[:6]),
		Incarnation: "bcdfg",
		Role:        api.RoleHead, Placement: api.Placement{Cloud: docker.Name, CPUs: 2, MemoryGiB: 4},
		AuthorizedKey: public,
		HostKey:       hostKey}
	ref, err := l.cloud.SubmitLaunch(l.ctx, req)
	l.check(err)
	m, err := l.cloud.AwaitLaunch(l.ctx, req, ref, func(string) {})
	l.check(err)
	l.login, l.server = login, remote.Target{Name: m.Name, Address: m.Address, Port: m.SSHPort, User: m.SSHUser,
		HostKey: m.HostKey}
	release, err := rke2.ResolveArtifacts(l.ctx, l.kit.Version, l.kit.Source, "")
	l.check(err)
	l.onServer(func(h *remote.Host) error { return rke2.InstallRelease(l.ctx, h, release, nil, nil) })
	l.onServer(func(h *remote.Host) error {
		return rke2.StartServer(l.ctx, h, rke2.Node{Role: api.RoleHead, NodeName: m.Name, NodeIP: m.Address,
			AgentToken: "secret-of-agents"})
	})
	l.onServer(func(h *remote.Host) error { return rke2.AwaitServer(l.ctx, h, nil) })
	l.onServer(func(h *remote.Host) error {
		_, err := h.RunCommand(l.ctx, kubectl+" apply -f -", strings.NewReader(workloads))
		return err
	})
	eventually.HoldsWithin(l.t, labTime, "the workloads run", func() bool {
		return l.run(kubectl+" get pods -l app=everywhere -o jsonpath={.items[*].status.phase} || true") == "Running"
	})
	l.run(kubectl + " get configmap before || " + kubectl + " create configmap before")
}

const kubectl = "/var/lib/rancher/rke2/bin/kubectl --kubeconfig /etc/rancher/rke2/rke2.yaml"

// onServer does something on the server of the cluster, and again if the connection breaks, as activities are tried
// again: a host of a busy computer may be silent for longer than its connection lasts.
func (l *lab) onServer(do func(h *remote.Host) error) {
	l.t.Helper()
	var err error
	eventually.HoldsEvery(l.t, time.Second, labTime, "the connection to the server lasts", func() bool {
		var h *remote.Host
		if h, err = l.pool.AwaitHost(l.ctx, l.server, l.login, nil); err == nil {
			err = do(h)
		}
		return !remote.IsLost(err) || l.ctx.Err() != nil
	})
	l.check(err)
}

// run runs a command on the server of the cluster and returns its output.
func (l *lab) run(command string) (output string) {
	l.t.Helper()
	l.onServer(func(h *remote.Host) error {
		out, err := h.RunScript(l.ctx, "testing", command)
		output = strings.TrimSpace(string(out))
		return err
	})
	return output
}

// keepSnapshot takes a snapshot of the server and keeps it as skyd does.
func (l *lab) keepSnapshot() api.Snapshot {
	l.t.Helper()
	l.run("PATH=$PATH:/usr/local/bin:/opt/rke2/bin; rke2 etcd-snapshot save --name proof")
	var content []byte
	var creds rke2.Credentials
	l.onServer(func(h *remote.Host) error {
		packed, err := h.RunScript(l.ctx, "reading the snapshot",
			"cd /var/lib/rancher/rke2/server/db/snapshots; gzip -c $(ls -t proof-* | head -n 1)")
		if err == nil {
			content, err = unpackGzip(packed)
		}
		if err == nil {
			creds, err = rke2.ReadCredentials(l.ctx, h)
		}
		return err
	})
	path := filepath.Join(l.t.TempDir(), "snapshot")
	l.check(os.WriteFile(path, content, 0o600))
	contents, err := etcdsnapshot.Read(path)
	l.check(err)
	sum := sha256.Sum256(content)
	s := api.Snapshot{Name: "proof", Cluster: l.owner.Cluster, ClusterUID: l.owner.ClusterUID, State: api.SnapshotKept,
		Reason: api.SnapshotAsked, TakenAt: time.Now(), Bytes: int64(len(content)), SHA256: hex.EncodeToString(sum[:]),
		Revision: contents.Revision, Keys: contents.Keys, Versions: api.Versions{RKE2: l.kit.Version},
		Check: &api.SnapshotCheck{AskedAt: time.Now()}}
	place, v, err := l.verifier.Files.VaultFor(l.ctx, &api.Cluster{})
	l.check(err)
	s.Place, s.Object = place, activities.SnapshotObject(s.Ref(), s.Name)
	s.SealedBytes, err = v.Put(l.ctx, s.Object, bytes.NewReader(content))
	l.check(err)
	l.check(l.verifier.Store.CreateSnapshot(l.ctx, s))
	l.check(l.verifier.Store.PutSnapshotToken(l.ctx, s.Ref(), s.Name, []byte(creds.ServerToken)))
	return s
}

func unpackGzip(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// verify requests a verification, runs it as its workflow does, and returns what stands on the snapshot.
func (l *lab) verify(s api.Snapshot, change func(*api.Snapshot)) api.SnapshotCheck {
	l.t.Helper()
	_, err := l.verifier.Store.UpdateSnapshot(l.ctx, s.Ref(), s.Name, func(s *api.Snapshot) error {
		s.RequestCheck(time.Now())
		change(s)
		return nil
	})
	l.check(err)
	refs, err := l.verifier.ListSnapshotChecks(l.ctx)
	l.check(err)
	if len(refs) != 1 || refs[0].Name != s.Name {
		l.t.Fatalf("to verify: %+v", refs)
	}
	eventually.HoldsEvery(l.t, time.Second, labTime, "the verification ends", func() bool {
		err = l.verifier.VerifySnapshot(l.ctx, refs[0])
		again := new(temporal.ApplicationError)
		return !errors.As(err, &again) || again.NonRetryable() || l.ctx.Err() != nil
	})
	if err != nil {
		l.check(l.verifier.FailSnapshotCheck(l.ctx, FailedCheck{Ref: refs[0], Failure: activities.FailureDetails(err)}))
	}
	after, err := l.verifier.Store.ReadSnapshot(l.ctx, s.Ref(), s.Name)
	l.check(err)
	l.t.Logf("%s within %s: %s", after.Check.Result, after.Check.At.Sub(after.Check.StartedAt), after.Check.Message)
	return *after.Check
}

func TestSnapshotIsProvenWithoutItsWorkloads(t *testing.T) {
	l := newLab(t)
	l.startCluster()
	s := l.keepSnapshot()
	token, err := l.verifier.Store.ReadSnapshotToken(l.ctx, s.Ref(), s.Name)
	l.check(err)
	l.verifier.inspect = func(ctx context.Context, h *remote.Host) error {
		found := &inspection{ctx: ctx, host: h}
		found.checkThatNothingRuns(s)
		found.checkSecrets(string(token))
		if found.lost == nil {
			for _, problem := range found.problems {
				t.Error(problem)
			}
		}
		return found.lost
	}
	got := l.verify(s, func(*api.Snapshot) {})
	if got.Result != api.SnapshotProven || got.Keys != s.KeyCount() || got.Keys == 0 || got.IsDue() {
		t.Errorf("the good snapshot: %+v", got)
	}
	l.verifier.inspect = nil
	got = l.verify(s, func(s *api.Snapshot) {
		s.Keys = maps.Clone(s.Keys)
		s.Keys["/registry/configmaps"]++
	})
	if got.Result != api.SnapshotDamaged || !strings.Contains(got.Message, "/registry/configmaps has") {
		t.Errorf("a snapshot that lacks a key: %+v", got)
	}
	l.check(l.verifier.Store.PutSnapshotToken(l.ctx, s.Ref(), s.Name, []byte("another-token")))
	if got = l.verify(s, func(*api.Snapshot) {}); got.Result != api.SnapshotDamaged || !strings.Contains(got.Message,
		"the server token of its time is another one") {
		t.Errorf("another token: %+v", got)
	}
	spoilFile(t, filepath.Join(l.verifier.Files.Dir, s.Object))
	if got = l.verify(s, func(*api.Snapshot) {}); got.Result != api.SnapshotDamaged || strings.Contains(got.Message,
		"keys instead") {
		t.Errorf("a damaged file: %+v", got)
	}
	events, err := l.verifier.Store.ListEvents(l.ctx, s.ClusterUID)
	l.check(err)
	for _, reason := range []string{"SnapshotVerified", "SnapshotDamaged"} {
		if !slices.ContainsFunc(events, func(e api.Event) bool { return e.Reason == reason }) {
			t.Errorf("there is no event %s", reason)
		}
	}
	// Other tests may have a host apart at the same time.
	if left, err := exec.Command("docker", "ps", "-aq", "--filter", "label=skyctl-scratch=isolated", "--filter",
		"label="+cloud.LabelClusterUID+"="+l.owner.ClusterUID).Output(); err != nil || len(left) != 0 {
		t.Errorf("left: %s, %v", left, err)
	}
}

func spoilFile(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)-1] ^= 1
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
