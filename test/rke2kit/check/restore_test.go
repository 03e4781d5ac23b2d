//go:build hosts

package check

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

const snapshotDir = serverDir + "/db/snapshots"

func TestAStateOfBeforeReturnsInPlaceAndOnANewMachine(t *testing.T) {
	c := newCluster(t)
	head, worker := c.add(), c.add()
	schedule := "etcd-snapshot-schedule-cron: \"@every 3s\"\netcd-snapshot-retention: 2\n"
	token := startHead(head, schedule)
	worker.start("agent", agentConfig(head.ip, token, "worker", ""))
	head.waitNodes("head", "worker")

	kubectl(head, "create configmap before")
	taken := save(head, "mine")
	kubectl(head, "create configmap after")
	t.Run("the command and the API list snapshots", func(t *testing.T) { snapshotsAreListed(t, head, taken) })
	t.Run("the schedule keeps the newest", func(t *testing.T) { scheduleKeepsTheNewest(t, head, taken) })

	t.Run("in place", func(t *testing.T) {
		head.run("systemctl stop rke2-server")
		restore(head, snapshotDir+"/"+taken)
		out, err := head.try("rke2 server --cluster-reset")
		if err == nil || !strings.Contains(out, "Managed etcd cluster membership was previously reset") {
			t.Errorf("a second reset: %v: %s", err, out)
		}
		head.run("systemctl start --no-block rke2-server")
		worker.run("systemctl restart --no-block rke2-agent")
		head.waitNodes("head", "worker")
		waitRejoined(head, worker)
		hasStateOfBefore(t, head)
		if old := head.run("ls -d " + serverDir + "/db/etcd-old-*"); len(strings.Fields(old)) != 1 {
			t.Errorf("old databases: %s", old)
		}
		if flag, err := head.try("ls " + serverDir + "/db/reset-flag"); err == nil {
			t.Errorf("the start left %s", flag)
		}
	})

	t.Run("on a new machine of the same name", func(t *testing.T) {
		fresh := c.add()
		move(t, head, fresh, snapshotDir+"/"+taken, "/root/snapshot")
		full := head.run("cat " + serverDir + "/token")
		head.run("rke2-killall.sh")
		config := fmt.Sprintf("token: %q\nagent-token: %s\nnode-name: head\nnode-ip: %s\n%s", full, agentToken,
			fresh.ip, onAnyCgroups)
		fresh.input("umask 077; mkdir -p /etc/rancher/rke2; cat >/etc/rancher/rke2/config.yaml", config)
		restore(fresh, "/root/snapshot")
		fresh.start("server", config)
		worker.run("systemctl stop rke2-agent")
		worker.start("agent", agentConfig(fresh.ip, token, "worker", ""))
		fresh.waitNodes("head", "worker")
		waitRejoined(fresh, worker)
		hasStateOfBefore(t, fresh)
	})
}

func TestAControlPlaneAloneStartsNoWorkload(t *testing.T) {
	c := newCluster(t)
	head := c.add()
	startHead(head, "disable-controller-manager: true\ndisable-scheduler: true\ndisable-kube-proxy: true\n"+
		"disable-cloud-controller: true\n")
	head.wait("the API", func() bool {
		_, err := head.kubectl("get --raw /readyz")
		return err == nil
	})
	kubectl(head, "create deployment web --image=docker.io/skyctl/hello:kit")
	head.wait("READY", func() bool { return head.active("rke2-server") == "active" })
	processes := head.run("cat /proc/[0-9]*/cmdline | tr '\\0' '\\n'")
	for _, name := range []string{"kube-controller-manager", "kube-scheduler", "kube-proxy"} {
		if regexp.MustCompile(`(?m)^` + name + `$`).MatchString(processes) {
			t.Errorf("%s runs:\n%s", name, processes)
		}
	}
	if !regexp.MustCompile(`(?m)^kube-apiserver$`).MatchString(processes) {
		t.Errorf("the apiserver does not run:\n%s", processes)
	}
	if out := kubectl(head, "get replicasets,pods -A -o name"); out != "" {
		t.Errorf("there are %s", out)
	}
}

func kubectl(h *host, args string) string {
	h.t.Helper()
	out, err := h.kubectl(args)
	if err != nil {
		h.t.Fatalf("kubectl %s: %s", args, out)
	}
	return out
}

// save takes a snapshot on demand and returns its name.
func save(h *host, name string) string {
	h.t.Helper()
	out := h.run("rke2 etcd-snapshot save --name " + name)
	saved := regexp.MustCompile(`msg="Snapshot (\S+) saved\."`).FindStringSubmatch(out)
	if saved == nil || !strings.HasPrefix(saved[1], name+"-head-") {
		h.t.Fatalf("save: %s", out)
	}
	return saved[1]
}

// restore runs a reset to the end.
func restore(h *host, path string) {
	h.t.Helper()
	out := h.run("rke2 server --cluster-reset --cluster-reset-restore-path=" + path + " 2>&1 | tail -n 1")
	if !strings.Contains(out, "Managed etcd cluster membership has been reset, restart without --cluster-reset flag") {
		h.t.Fatalf("the last line of the restore: %s", out)
	}
}

// move copies a file from one host to another.
func move(t *testing.T, from, to *host, path, target string) {
	t.Helper()
	read := exec.Command("docker", "exec", from.name, "cat", path)
	write := exec.Command("docker", "exec", "-i", to.name, "sh", "-c", "cat >"+target)
	pipe, err := read.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	write.Stdin = pipe
	if err := read.Start(); err != nil {
		t.Fatal(err)
	}
	if out, err := write.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := read.Wait(); err != nil {
		t.Fatal(err)
	}
}

// waitRejoined waits until the agent is up and the nodes' leases are renewed: those of the state may be old or missing.
func waitRejoined(head, worker *host) {
	head.t.Helper()
	worker.wait("READY", func() bool { return worker.active("rke2-agent") == "active" })
	for _, node := range []string{"head", "worker"} {
		lease := "get lease -n kube-node-lease " + node + " -o jsonpath={.spec.renewTime}"
		first, _ := head.kubectl(lease)
		head.wait("renewal of the lease of "+node, func() bool {
			now, err := head.kubectl(lease)
			return err == nil && now != first
		})
	}
}

func hasStateOfBefore(t *testing.T, h *host) {
	t.Helper()
	if out := kubectl(h, "get configmaps -o name"); !strings.Contains(out, "configmap/before") ||
		strings.Contains(out, "configmap/after") {
		t.Errorf("there are %s", out)
	}
}

func snapshotsAreListed(t *testing.T, h *host, taken string) {
	table := h.run("rke2 etcd-snapshot ls 2>/dev/null")
	row := regexp.MustCompile(`(?m)^` + taken + ` +file://` + snapshotDir + `/` + taken + ` +(\d+) +20\S+$`)
	if !strings.HasPrefix(table, "Name ") || !row.MatchString(table) {
		t.Errorf("the table is\n%s", table)
	}
	var list struct {
		Items []struct {
			Spec   struct{ SnapshotName, NodeName, Location string }
			Status struct{ ReadyToUse bool }
		}
	}
	for name, text := range map[string]string{
		"command": h.run("rke2 etcd-snapshot ls -o json 2>/dev/null"),
		"API":     kubectl(h, "get etcdsnapshotfiles -o json"),
	} {
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			t.Fatalf("%s: %v: %s", name, err, text)
		}
		found := false
		for _, item := range list.Items {
			found = found || item.Spec.SnapshotName == taken && item.Spec.NodeName == "head" &&
				item.Status.ReadyToUse && item.Spec.Location == "file://"+snapshotDir+"/"+taken
		}
		if !found {
			t.Errorf("the %s lists %+v", name, list.Items)
		}
	}
	if modes := h.run("stat -c %a " + snapshotDir + " " + snapshotDir + "/" + taken); modes != "700\n600" {
		t.Errorf("modes are %q", modes)
	}
}

func scheduleKeepsTheNewest(t *testing.T, h *host, taken string) {
	list := func() string { return h.run("ls " + snapshotDir) }
	first := ""
	h.wait("a scheduled snapshot", func() bool {
		first = regexp.MustCompile(`etcd-snapshot-head-\d+`).FindString(list())
		return first != ""
	})
	h.wait("its removal", func() bool { return !strings.Contains(list(), first) })
	if now := list(); !strings.Contains(now, taken) || strings.Count(now, "etcd-snapshot-head-") > 3 {
		t.Errorf("there are %s", now)
	}
	h.wait("removal of its resource", func() bool {
		return !strings.Contains(kubectl(h, "get etcdsnapshotfiles -o name"), first)
	})
}
