//go:build hosts

package check

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

const (
	serverDir  = dataDir + "/server"
	agentToken = "the-agents-secret"
)

// onAnyCgroups is added to whatever arguments a configuration has. Kubelets since 1.35 refuse cgroup version 1.
const onAnyCgroups = "kubelet-arg+: [fail-cgroupv1=false]\n"

// startHead starts a server and returns the full agent token.
func startHead(h *host, more string) string {
	h.t.Helper()
	h.start("server", fmt.Sprintf("token: the-servers-secret\nagent-token: %s\nnode-name: head\nnode-ip: "+
		"%s\ncluster-name: x\n%s%s", agentToken, h.ip, more, onAnyCgroups))
	h.wait("agent token", func() bool {
		_, err := h.try("test -s " + serverDir + "/agent-token")
		return err == nil
	})
	return h.run("cat " + serverDir + "/agent-token")
}

func agentConfig(server, token, name, more string) string {
	return fmt.Sprintf("server: https://%s:9345\ntoken: %q\nnode-name: %s\n%s%s", server, token, name, more,
		onAnyCgroups)
}

func TestPodsOnThreeNodesReachEachOther(t *testing.T) {
	c := newCluster(t)
	head, one, two := c.add(), c.add(), c.add()
	token := startHead(head, "tls-san: [head.example]\n")
	one.start("agent", agentConfig(head.ip, token, "one",
		"node-label: [tier=test]\nkubelet-arg: [\"system-reserved=cpu=500m,memory=1Gi\"]\n"))
	two.start("agent", agentConfig(head.ip, token, "two", ""))
	head.waitNodes("head", "one", "two")

	t.Run("versions, roles and allocatable", func(t *testing.T) { nodesAsAsked(t, head) })
	t.Run("pods and services", func(t *testing.T) { podsReach(t, head, one) })
	t.Run("tokens and files", func(t *testing.T) { filesAsInRKE2(t, head, token) })
	t.Run("authentication on 9345", func(t *testing.T) { supervisorAuth(t, head) })
	t.Run("the kubeconfig works under every name of the certificate", func(t *testing.T) {
		out := one.run(`curl -sk --resolve head.example:6443:` + head.ip +
			` -o /dev/null -w '%{http_code}' https://head.example:6443/readyz`)
		if out != "401" {
			t.Errorf("anonymous /readyz: %s, want 401", out)
		}
		san := head.run("curl -s --cacert " + serverDir + "/tls/server-ca.crt --cert " + serverDir +
			"/tls/client-admin.crt --key " + serverDir +
			"/tls/client-admin.key --resolve head.example:6443:127.0.0.1 https://head.example:6443/readyz https://" +
			head.ip + ":6443/readyz")
		if san != "okok" {
			t.Errorf("got %q", san)
		}
	})
	t.Run("a restart and a kill keep everything", func(t *testing.T) { restartKeeps(t, head) })
	t.Run("a deleted node's name is free again", func(t *testing.T) { nameIsFree(t, head, two, token) })
	t.Run("killall and uninstall leave nothing", func(t *testing.T) { uninstallLeavesNothing(t, one) })
}

func nodesAsAsked(t *testing.T, head *host) {
	out, err := head.kubectl(`get nodes -o jsonpath='{range .items[*]}{.metadata.name} ` +
		`{.status.nodeInfo.kubeletVersion} {.metadata.labels.tier} {.status.capacity.cpu} ` +
		`{.status.allocatable.cpu}{"\n"}{end}'`)
	if err != nil {
		t.Fatal(err, out)
	}
	version := regexp.MustCompile(`rke2 version (v\S+) \([0-9a-f]{40}\)\ngo version go`).FindStringSubmatch(
		head.run("rke2 --version"))
	if version == nil {
		t.Fatalf("rke2 --version: %s", head.run("rke2 --version"))
	}
	for _, line := range strings.Split(out, "\n") {
		fields := strings.Fields(line)
		if fields[1] != version[1] {
			t.Errorf("kubelet of %s is %s, want %s", fields[0], fields[1], version[1])
		}
		if fields[0] == "one" {
			var cpus, milli int
			if _, err := fmt.Sscanf(strings.Join(fields[2:], " "), "test %d %dm", &cpus, &milli); err != nil ||
				milli != cpus*1000-500 {
				t.Errorf("label, capacity and allocatable: %q", line)
			}
		}
	}
	head.wait("role labels", func() bool {
		out, _ := head.kubectl("get node head --no-headers")
		return strings.Contains(out, "control-plane,etcd,master")
	})
}

const manifest = `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: hello}
spec:
  selector: {matchLabels: {app: hello}}
  template:
    metadata: {labels: {app: hello}}
    spec:
      containers: [{name: hello, image: "docker.io/skyctl/hello:kit", imagePullPolicy: Never}]
---
apiVersion: v1
kind: Service
metadata: {name: hello}
spec: {type: NodePort, selector: {app: hello}, ports: [{port: 80, targetPort: 8080, nodePort: 30080}]}
`

func podsReach(t *testing.T, head, worker *host) {
	head.input("cat >/tmp/pods.yaml", manifest)
	if out, err := head.kubectl("apply -f /tmp/pods.yaml && " + dataDir +
		"/bin/kubectl --kubeconfig /etc/rancher/rke2/rke2.yaml rollout status ds/hello --timeout=60s"); err != nil {
		t.Fatal(out)
	}
	ips, _ := head.kubectl(`get pods -l app=hello -o jsonpath='{.items[*].status.podIP}'`)
	service, _ := head.kubectl(`get svc hello -o jsonpath='{.spec.clusterIP}'`)
	if len(strings.Fields(ips)) != 3 {
		t.Fatalf("pod addresses: %q", ips)
	}
	// From inside a pod's network: the image itself has no client.
	inPod := "nsenter --net=/run/netns/$(ls /run/netns | head -n 1) curl -s -m 2 "
	for _, ip := range strings.Fields(ips) {
		head.wait("answer from pod "+ip+" to a pod of another node", func() bool {
			out, _ := worker.try(inPod + "http://" + ip + ":8080")
			return strings.HasPrefix(out, "Hello from hello-")
		})
	}
	for _, address := range []string{service, worker.ip + ":30080", head.ip + ":30080"} {
		seen := map[string]bool{}
		head.wait("answers from all pods behind "+address, func() bool {
			out, _ := worker.try(inPod + "http://" + address)
			if strings.HasPrefix(out, "Hello") {
				seen[out] = true
			}
			return len(seen) == 3
		})
	}
}

func filesAsInRKE2(t *testing.T, head *host, token string) {
	hash := head.run("curl -sk https://127.0.0.1:9345/cacerts | sha256sum | cut -d' ' -f1")
	if want := "K10" + hash + "::node:" + agentToken; token != want {
		t.Errorf("agent token is %s, want %s", token, want)
	}
	if got, want := head.run("cat "+serverDir+"/node-token"), "K10"+hash+"::server:the-servers-secret"; got != want {
		t.Errorf("node-token is %s, want %s", got, want)
	}
	modes := head.run("stat -L -c %a " + serverDir + "/token " + serverDir + "/node-token " + serverDir +
		"/agent-token /etc/rancher/rke2/rke2.yaml /etc/rancher/node/password")
	if modes != strings.TrimSpace(strings.Repeat("600\n", 5)) {
		t.Errorf("modes are %q", modes)
	}
	if server := head.run("grep server: /etc/rancher/rke2/rke2.yaml"); server != "server: https://127.0.0.1:6443" {
		t.Errorf("kubeconfig says %q", server)
	}
	log := head.run("journalctl --no-pager -o cat -u rke2-server")
	for _, want := range []string{`level=warning msg="Unknown flag --cluster-name found in config.yaml, skipping"`,
		`time="20`} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %s", want)
		}
	}
	if strings.Contains(log, agentToken) || strings.Contains(log, "the-servers-secret") {
		t.Error("the log holds a secret")
	}
	if args := head.run("cat /proc/[0-9]*/cmdline | tr '\\0' ' '"); strings.Contains(args, agentToken) {
		t.Error("a command line holds a secret")
	}
}

func supervisorAuth(t *testing.T, head *host) {
	for _, c := range []struct{ user, path, want string }{
		{"", "ping", "200"}, {"", "cacerts", "200"},
		{"", "v1-rke2/readyz", "401"},
		{"-u node:" + agentToken, "v1-rke2/readyz", "200"},
		{"-u server:the-servers-secret", "v1-rke2/config", "200"},
		{"-u node:the-servers-secret", "v1-rke2/config", "401"}, // a distinct agent token is the agents' only one
		{"-u node:wrong", "v1-rke2/apiservers", "401"},
		{"-u node:" + agentToken, "v1-rke2/server-bootstrap", "403"},
		{"-u node:" + agentToken + " -H rke2-Node-Name:one -H rke2-Node-Password:wrong", "v1-rke2/client-kubelet.crt",
			"403"},
	} {
		if got := head.run("curl -sk -o /dev/null -w '%{http_code}' " + c.user + " https://127.0.0.1:9345/" +
			c.path); got != c.want {
			t.Errorf("%s with %q: %s, want %s", c.path, c.user, got, c.want)
		}
	}
	mtls := "--cert /var/lib/rancher/rke2/agent/client-kubelet.crt --key " +
		"/var/lib/rancher/rke2/agent/client-kubelet.key "
	if got := head.run("curl -sk " + mtls + "https://127.0.0.1:9345/v1-rke2/readyz"); got != "ok" {
		t.Errorf("with a kubelet's certificate: %s", got)
	}
}

func restartKeeps(t *testing.T, head *host) {
	fingerprint := func() string {
		pods, _ := head.kubectl(`get pods -l app=hello -o jsonpath='{range .items[*]}{.metadata.name} ` +
			`{.status.containerStatuses[0].restartCount} {end}'`)
		return pods + head.run("cat "+serverDir+"/token "+serverDir+"/tls/*-ca.crt")
	}
	before := fingerprint()
	head.run("systemctl restart rke2-server")
	head.waitNodes("head", "one", "two")
	if after := fingerprint(); after != before {
		t.Errorf("after a restart:\n%s\nbefore:\n%s", after, before)
	}
	pid := head.run("systemctl show --property MainPID --value rke2-server")
	head.run("kill -9 " + pid)
	head.wait("restart by systemd", func() bool {
		now, _ := head.try("systemctl show --property MainPID --value rke2-server")
		return now != pid && now != "0" && head.active("rke2-server") == "active"
	})
	head.waitNodes("head", "one", "two")
	if after := fingerprint(); after != before {
		t.Errorf("after a kill:\n%s\nbefore:\n%s", after, before)
	}
}

// nameIsFree gives the node's machine a new identity, as a replacement has.
func nameIsFree(t *testing.T, head, worker *host, token string) {
	worker.run("systemctl stop rke2-agent; rm -rf /etc/rancher/node " + dataDir + "/agent/*.crt " + dataDir +
		"/agent/*.key")
	worker.start("agent", agentConfig(head.ip, token, "two", ""))
	worker.waitLog("rke2-agent", "Node password rejected, duplicate hostname or contents of "+
		"'/etc/rancher/node/password' may not match")
	if state := worker.active("rke2-agent"); state != "activating" {
		t.Errorf("the unit is %s", state)
	}
	if out, err := head.kubectl("delete node two"); err != nil {
		t.Fatal(out)
	}
	head.waitNodes("head", "one", "two")
}

func uninstallLeavesNothing(t *testing.T, worker *host) {
	worker.run("rke2-uninstall.sh")
	if left := worker.run("ps -eo args | grep -E '[r]ke2|[c]ontainerd-shim|[/]pause|[/]hello' || true"); left != "" {
		t.Errorf("processes left: %s", left)
	}
	for _, path := range []string{"/usr/local/bin/rke2", "/etc/rancher/rke2", "/etc/rancher/node", dataDir,
		"/usr/local/lib/systemd/system/rke2-agent.service"} {
		if _, err := worker.try("test -e " + path); err == nil {
			t.Errorf("%s is left", path)
		}
	}
	if rules := worker.run("iptables-save | grep -E 'KUBE-|CNI-|rke2kit' || true"); rules != "" {
		t.Errorf("rules left: %s", rules)
	}
	if routes := worker.run("ip route show proto 142"); routes != "" {
		t.Errorf("routes left: %s", routes)
	}
}

func TestAgentsThatCannotJoinReportWhyAndRetry(t *testing.T) {
	c := newCluster(t)
	head, worker := c.add(), c.add()

	for name, config := range map[string]string{"--token is required": "server: https://10.0.0.1:9345\n",
		"--server is required": "token: x\n"} {
		worker.input("umask 077; mkdir -p /etc/rancher/rke2; cat >/etc/rancher/rke2/config.yaml", config)
		out, err := worker.try("rke2 agent")
		if err == nil || !strings.Contains(out, "Error: "+name) {
			t.Errorf("want an end with %q, got %v: %s", name, err, out)
		}
	}

	// Before its server: it waits, and needs no restart when the server comes.
	worker.start("agent", agentConfig(head.ip, agentToken, "early", ""))
	worker.waitLog("rke2-agent", "failed to get CA certs")
	token := startHead(head, "")
	head.waitNodes("head", "early")
	worker.wait("READY", func() bool { return worker.active("rke2-agent") == "active" })

	again := func(token string) {
		worker.run("rke2-killall.sh; rm -rf " + dataDir + "/agent; journalctl --rotate; journalctl --vacuum-time=1s")
		worker.start("agent", agentConfig(head.ip, token, "late", ""))
	}
	hash := strings.TrimPrefix(strings.Split(token, "::")[0], "K10")
	other := strings.Repeat("ab", 32)
	again("K10" + other + "::node:" + agentToken)
	worker.waitLog("rke2-agent", "token CA hash does not match the Cluster CA certificate hash: "+other+" != "+hash)

	again("K10" + hash + "::node:wrong")
	worker.waitLog("rke2-agent", "Waiting to retrieve agent configuration; server is not ready: ")
	worker.waitLog("rke2-agent", "401 Unauthorized")
	if state := worker.active("rke2-agent"); state != "activating" {
		t.Errorf("with a wrong token the unit is %s", state)
	}

	again(head.run("rke2 token create --ttl 1h"))
	worker.wait("READY with a bootstrap token", func() bool { return worker.active("rke2-agent") == "active" })
	head.wait("node late", func() bool {
		out, _ := head.kubectl("get node late --no-headers")
		return strings.Contains(out, " Ready ")
	})
}

func TestServerRefusesDataOfAnotherToken(t *testing.T) {
	c := newCluster(t)
	head := c.add()
	startHead(head, "")
	head.waitNodes("head")
	head.run("systemctl stop rke2-server; sed -i 's/^token:.*/token: another/' /etc/rancher/rke2/config.yaml")
	out, err := head.try("rke2 server")
	if err == nil || !strings.Contains(out, "bootstrap data already found and encrypted with different token") {
		t.Errorf("got %v: %s", err, out)
	}
}
