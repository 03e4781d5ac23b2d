package simcloud_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/kube"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
)

const snapshotsDir = "/var/lib/rancher/rke2/server/db/snapshots/"

// shell runs a command on a machine and returns its output; the command's failure is part of it.
func (p *pair) shell(name, script string) string {
	p.t.Helper()
	out, err := p.host(name).RunScript(p.ctx, "testing",
		"export PATH=$PATH:/opt/rke2/bin; {\n"+script+"\n} 2>&1 || echo exit=$?")
	p.check(err)
	return strings.TrimSpace(string(out))
}

func (p *pair) save(name string) string {
	p.t.Helper()
	out := p.shell(head, "rke2 etcd-snapshot save --name "+name)
	saved := regexp.MustCompile(`msg="Snapshot (\S+) saved\."`).FindStringSubmatch(out)
	if saved == nil {
		p.t.Fatalf("save: %s", out)
	}
	return saved[1]
}

func (p *pair) objects() string {
	p.t.Helper()
	text, err := json.Marshal(p.ReadObjects(owner.ClusterUID))
	p.check(err)
	return string(text)
}

func (p *pair) readCredentials() rke2.Credentials {
	p.t.Helper()
	creds, err := rke2.ReadCredentials(p.ctx, p.host(head))
	p.check(err)
	return creds
}

func TestSnapshotsAreListedDeletedAndPruned(t *testing.T) {
	p := newPair(t)
	p.up()
	names := []string{p.save("one"), p.save("two")}
	var list struct {
		Items []struct {
			Spec struct{ SnapshotName, Location string }
		}
	}
	out := p.shell(head, "rke2 etcd-snapshot ls -o json 2>/dev/null")
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Items) != 2 ||
		list.Items[0].Spec.SnapshotName != names[0] || list.Items[0].Spec.Location != "file://"+snapshotsDir+names[0] {
		t.Errorf("%v: %s", err, out)
	}
	if out := p.shell(head, "rke2 etcd-snapshot delete "+names[0]+" none"); !strings.Contains(out, "Snapshot "+names[0]+
		" deleted.") || !strings.Contains(out, "Snapshot none not found.") || strings.Contains(out, "exit=") {
		t.Errorf("delete: %s", out)
	}
	scheduled, err := p.TakeScheduledSnapshot(head)
	p.check(err)
	if out := p.shell(head, "rke2 etcd-snapshot prune --name two --snapshot-retention 1; ls "+snapshotsDir); !strings.
		Contains(out, names[1]) || !strings.Contains(out, scheduled) {
		t.Errorf("prune removed too much: %s", out)
	}
	p.check(p.FailSnapshots(head, "context deadline exceeded"))
	if out := p.shell(head, "rke2 etcd-snapshot save"); strings.Contains(out, "saved") ||
		strings.Contains(out, "exit=") {
		t.Errorf("a snapshot that fails: %s", out)
	}
	p.check(p.StopUnit(head, "inactive"))
	if out := p.shell(head, "rke2 etcd-snapshot save"); !strings.Contains(out, "connection refused") ||
		!strings.Contains(out, "exit=1") {
		t.Errorf("without a server: %s", out)
	}
}

func TestARestoreInPlaceBringsTheStateBack(t *testing.T) {
	p := newPair(t)
	client := p.up()
	p.check(p.WriteObject(owner.ClusterUID, "before", "1"))
	file := p.save("state")
	p.check(p.WriteObject(owner.ClusterUID, "after", "1"))
	restore := "rke2 server --cluster-reset --cluster-reset-restore-path="
	if out := p.shell(head, restore+snapshotsDir+file); !strings.Contains(out, "another rke2 runs") {
		t.Errorf("while the server runs: %s", out)
	}
	p.check(p.StopUnit(head, "inactive"))
	if out := p.shell(head, restore+"/nothing"); !strings.Contains(out, "snapshot path does not exist") {
		t.Errorf("a missing file: %s", out)
	}
	if out := p.shell(head, restore+snapshotsDir+file); !strings.Contains(out,
		"restart without --cluster-reset flag") ||
		strings.Contains(out, "exit=") {
		t.Errorf("restore: %s", out)
	}
	if out := p.shell(head, "rke2 server --cluster-reset"); !strings.Contains(out, "was previously reset") {
		t.Errorf("a second reset: %s", out)
	}
	p.check(rke2.RestartUnit(p.ctx, p.host(head), api.RoleHead))
	p.check(kube.AwaitNodeReady(p.ctx, client, worker, nil))
	if got := p.objects(); got != `{"before":"1"}` {
		t.Errorf("there are %s", got)
	}
	if out := p.shell(head, "cd "+snapshotsDir+"..; ls -d reset-flag etcd-old-*/member"); strings.Contains(out,
		"/reset-flag") || !strings.Contains(out, "/member") {
		t.Errorf("db has %s", out)
	}
}

func TestANewMachineTakesOverTheStateWithItsToken(t *testing.T) {
	p := newPair(t)
	p.up()
	p.check(p.WriteObject(owner.ClusterUID, "before", "1"))
	token := p.readCredentials().ServerToken
	file := snapshotsDir + p.save("state")
	content, err := p.host(head).RunScript(p.ctx, "reading", "cat "+file)
	p.check(err)
	p.LoseMachine(head)
	p.pool.Close()
	p.pool = remote.NewPool(0)
	p.launch(0)
	p.install(head)
	restore := "rke2 server --cluster-reset --cluster-reset-restore-path=/var/lib/snapshot"
	p.check(p.host(head).WriteFile(p.ctx, "/var/lib/snapshot", content, 0o600))
	if out := p.shell(head, restore); !strings.Contains(out, "please pass --token") {
		t.Errorf("without a token: %s", out)
	}
	if out := p.shell(head, "RKE2_TOKEN=wrong "+restore); !strings.Contains(out, "encrypted with different token") {
		t.Errorf("another token: %s", out)
	}
	content[len(content)/2] ^= 1
	p.check(p.host(head).WriteFile(p.ctx, "/var/lib/damaged", content, 0o600))
	if out := p.shell(head, "RKE2_TOKEN='"+token+"' "+strings.Replace(restore, "snapshot", "damaged", 1)); !strings.
		Contains(out, "expected sha256") {
		t.Errorf("a damaged file: %s", out)
	}
	if out := p.shell(head, "RKE2_TOKEN='"+token+"' "+restore); strings.Contains(out, "exit=") {
		t.Errorf("restore: %s", out)
	}
	p.startServer()
	if now := p.readCredentials(); now.ServerToken != token {
		t.Error("the server token is another one")
	}
	if got := p.objects(); got != `{"before":"1"}` {
		t.Errorf("there are %s", got)
	}
	nodes, passwords, _ := p.ListNodes(owner.ClusterUID)
	if len(nodes) != 2 || len(passwords) != 2 {
		t.Errorf("nodes %q, passwords %q", nodes, passwords)
	}
}

func TestAServerDoesNotStartWithAnotherToken(t *testing.T) {
	p := newPair(t)
	p.up()
	p.check(p.StopUnit(head, "inactive"))
	p.shell(head, "echo 'token: other' >>/etc/rancher/rke2/config.yaml")
	if out := p.shell(head, "systemctl start rke2-server; systemctl is-active rke2-server"); !strings.Contains(out,
		"exit=") {
		t.Errorf("it started: %s", out)
	}
}
