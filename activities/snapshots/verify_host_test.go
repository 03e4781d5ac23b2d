package snapshots

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
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
}

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
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	st := store.New(client, "/"+t.Name(), make([]byte, 32))
	installation, err := st.EnsureInstallationID(ctx)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, ctx: ctx, cloud: c,
		kit:   rke2.Source{Version: strings.TrimSpace(string(version)), Source: dir},
		owner: cloud.Owner{Installation: installation, Cluster: "prod", ClusterUID: rand.Text()}}
	l.verifier = &Verifier{Store: st, Now: time.Now, RKE2: l.kit, Deadlines: activities.DefaultDeadlines(),
		Clouds: activities.Clouds{Named: map[string]cloud.Cloud{docker.Name: c}},
		Files:  &activities.SnapshotFiles{Store: st, Dir: t.TempDir(), QuotaBytes: 1 << 30}}
	t.Cleanup(func() {
		cancel()
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
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
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
func (l *lab) startCluster() *remote.Host {
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
	h, err := remote.AwaitDial(l.ctx, remote.Target{Name: m.Name, Address: m.Address, Port: m.SSHPort, User: m.SSHUser,
		HostKey: m.HostKey}, login, func(string) {})
	l.check(err)
	l.t.Cleanup(func() { _ = h.Close() })
	release, err := rke2.ResolveArtifacts(l.ctx, l.kit.Version, l.kit.Source, "")
	l.check(err)
	l.check(rke2.InstallRelease(l.ctx, h, release, nil, nil))
	l.check(rke2.StartServer(l.ctx, h, rke2.Node{Role: api.RoleHead, NodeName: m.Name, NodeIP: m.Address,
		AgentToken: "secret-of-agents"}))
	l.check(rke2.AwaitServer(l.ctx, h, nil))
	_, err = h.RunCommand(l.ctx, kubectl+" apply -f -", strings.NewReader(workloads))
	l.check(err)
	eventually.Holds(l.t, "the workloads run", func() bool {
		return l.shell(h, kubectl+" get pods -l app=everywhere -o jsonpath={.items[*].status.phase}") == "Running"
	})
	l.shell(h, kubectl+" create configmap before")
	return h
}

const kubectl = "/var/lib/rancher/rke2/bin/kubectl --kubeconfig /etc/rancher/rke2/rke2.yaml"

// shell runs a command on a host and returns its output.
func (l *lab) shell(h *remote.Host, command string) string {
	l.t.Helper()
	out, err := h.RunScript(l.ctx, "testing", command)
	if err != nil {
		l.t.Errorf("%s: %v", command, err)
	}
	return strings.TrimSpace(string(out))
}

// keepSnapshot takes a snapshot of a server and keeps it as skyd does.
func (l *lab) keepSnapshot(h *remote.Host) api.Snapshot {
	l.t.Helper()
	l.shell(h, "PATH=$PATH:/usr/local/bin:/opt/rke2/bin; rke2 etcd-snapshot save --name proof")
	packed, err := h.RunScript(l.ctx, "reading the snapshot",
		"gzip -c /var/lib/rancher/rke2/server/db/snapshots/proof-*")
	l.check(err)
	unpack, err := gzip.NewReader(bytes.NewReader(packed))
	l.check(err)
	content, err := io.ReadAll(unpack)
	l.check(err)
	path := filepath.Join(l.t.TempDir(), "snapshot")
	l.check(os.WriteFile(path, content, 0o600))
	contents, err := etcdsnapshot.Read(path)
	l.check(err)
	creds, err := rke2.ReadCredentials(l.ctx, h)
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

// verify requests a verification, runs it, and returns what stands on the snapshot.
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
	if err := l.verifier.VerifySnapshot(l.ctx, refs[0]); err != nil {
		l.check(l.verifier.FailSnapshotCheck(l.ctx, FailedCheck{Ref: refs[0], Failure: activities.FailureDetails(err)}))
	}
	after, err := l.verifier.Store.ReadSnapshot(l.ctx, s.Ref(), s.Name)
	l.check(err)
	l.t.Logf("%s within %s: %s", after.Check.Result, after.Check.At.Sub(after.Check.StartedAt), after.Check.Message)
	return *after.Check
}

func TestSnapshotIsProvenWithoutItsWorkloads(t *testing.T) {
	l := newLab(t)
	s := l.keepSnapshot(l.startCluster())
	l.verifier.inspect = func(_ context.Context, h *remote.Host) error {
		nothingRuns(l, h, s)
		return nil
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
	if left, err := exec.Command("docker", "ps", "-aq", "--filter",
		"label=skyctl-scratch=isolated").Output(); err != nil ||
		len(left) != 0 {
		t.Errorf("left: %s, %v", left, err)
	}
}

// nothingRuns checks a restored server for longer than the CronJob pauses: no container runs, no Job and no pod is new,
// but for the static pods of the server itself.
func nothingRuns(l *lab, h *remote.Host, s api.Snapshot) {
	l.t.Helper()
	l.shell(h, kubectl+" get configmap before")
	objects := "own=$(sed -n 's/^node-name: //p' /etc/rancher/rke2/config.yaml); " + kubectl +
		` get jobs,pods -A -o name | grep -v -- "-$own\$" | sort`
	before := l.shell(h, objects)
	if n := int64(strings.Count(before, "pod/")); n != s.Keys["/registry/pods"] || n == 0 {
		l.t.Errorf("the API shows %d pods, the snapshot has %d", n, s.Keys["/registry/pods"])
	}
	next := time.Now().Truncate(time.Minute).Add(time.Minute + 15*time.Second)
	for time.Now().Before(next) {
		containers := l.shell(h, "ctr -a /run/k3s/containerd/containerd.sock -n k8s.io containers list -q "+
			`'labels."io.kubernetes.pod.namespace"!=kube-system'`)
		if containers != "" || l.t.Failed() {
			l.t.Errorf("containers run: %s", containers)
			return
		}
		time.Sleep(5 * time.Second) // the proof is that nothing happens in this time
	}
	if after := l.shell(h, objects); after != before {
		l.t.Errorf("there were\n%s\nand are\n%s", before, after)
	}
	processes := l.shell(h, `cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' '`)
	token, err := l.verifier.Store.ReadSnapshotToken(l.ctx, s.Ref(), s.Name)
	l.check(err)
	if strings.Contains(processes, string(token)) {
		l.t.Error("the token is an argument of a program")
	}
	for _, name := range []string{"kube-controller-manager", "kube-scheduler", "kube-proxy"} {
		if strings.Contains(processes, name+" --") {
			l.t.Errorf("%s runs", name)
		}
	}
	onDisk := "find / " + strings.Join(rke2.IsolatedDiskDirs, " ") +
		" -xdev -type f -newer /etc/rancher/rke2/config.yaml -print0 2>/dev/null"
	got := l.shell(h, onDisk+" | xargs -0 -r grep -lE 'K10[0-9a-f]{64}|PRIVATE KEY' 2>/dev/null || true")
	if got != "" {
		l.t.Errorf("secrets are on the disk: %s", got)
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
