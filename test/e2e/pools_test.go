package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/kube"
)

// webManifest is a service as people run it: it says when it is ready, keeps answering until no node sends it requests,
// and has a disruption budget. trainer fits only into a pool of its own.
const webManifest = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  strategy: {rollingUpdate: {maxUnavailable: 0}}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway,
         labelSelector: {matchLabels: {app: web}}}
      containers:
      - {{web}, readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1, initialDelaySeconds: 2},
         lifecycle: {preStop: {sleep: {seconds: 8}}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: web}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: trainer}
spec:
  replicas: 1
  selector: {matchLabels: {app: trainer}}
  template:
    metadata: {labels: {app: trainer}}
    spec:
      terminationGracePeriodSeconds: 1
      nodeSelector: {tier: train}
      tolerations: [{key: reserved, value: "yes", effect: NoSchedule}]
      containers: [{{trainer}}]
`

// devFile has workers that are smaller than the server: four of them fit on most computers.
const devFile = `
apiVersion: skyctl.sky-shift.org/v1
kind: Cluster
metadata: {name: dev}
spec:
  cloud: docker
  control_plane: {machine: {cpus: 2+, memory: 4}}
  pools: [{name: default, replicas: 1, machine: {cpus: 1+, memory: 2}}]
`

func TestClusterChangesWhileItServes(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	file := filepath.Join(t.TempDir(), "dev.yaml")
	if err := os.WriteFile(file, []byte(devFile), 0o600); err != nil {
		t.Fatal(err)
	}
	i.runAndLog("apply", "-f", file, "--wait")
	users := []*steadyClient{i.serve(), i.readAPI()}
	steps := []struct {
		what string
		run  func(*installation)
	}{
		{"two machines more, and a file with other labels", growByTwo},
		{"two machines less, and a second pool", shrinkAndAddPool},
		{"a machine is replaced, and one of the pool deleted", replaceAndDeleteMachine},
		{"a file gives the machines of the pool more memory", giveMoreMemory},
		{"the pool is deleted", deletePool},
	}
	for _, s := range steps {
		if !t.Run(s.what, func(t *testing.T) {
			j := *i
			j.t = t
			s.run(&j)
			for _, u := range users {
				u.checkAnswered(t)
			}
		}) {
			t.Logf("%s\nevents:\n%s", i.run("describe", "cluster", "dev").stdout, i.run("get", "events", "dev").stdout)
			t.FailNow()
		}
	}
	for _, u := range users {
		u.stop()
	}
	i.runAndLog("get", "events", "dev")
	i.runAndLog("delete", "cluster", "dev", "--yes", "--wait")
}

// runAndLog runs a command that must succeed, and logs what a person sees.
func (i *installation) runAndLog(args ...string) string {
	i.t.Helper()
	r := i.run(args...)
	i.t.Logf("$ skyctl %s\n%s%s", strings.Join(args, " "), r.stdout, r.stderr)
	return r.stdout
}

// serve starts the service, and a client of it. Each request opens a connection and is sent once.
func (i *installation) serve() *steadyClient {
	i.t.Helper()
	manifest := filepath.Join(i.t.TempDir(), "web.yaml")
	if err := os.WriteFile(manifest, []byte(fillIn(webManifest, "web", "trainer")), 0o600); err != nil {
		i.t.Fatal(err)
	}
	i.kubectl("dev", "apply", "-f", manifest)
	i.kubectl("dev", "rollout", "status", "deployment/web", within(podPatience))
	port := i.kubectl("dev", "get", "service", "web", "-o", "jsonpath={.spec.ports[0].nodePort}")
	address := fmt.Sprintf("http://%s:%s/", i.cluster("dev").Status.Machines[0].Address, port)
	once := &http.Client{Timeout: answerLimit, Transport: &http.Transport{DisableKeepAlives: true}}
	return startClient(i.t, "the service", 15*time.Millisecond, func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
		if err != nil {
			return err
		}
		response, err := once.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		page, err := io.ReadAll(response.Body)
		if err == nil && (response.StatusCode != http.StatusOK || !strings.Contains(string(page), "web-")) {
			err = fmt.Errorf("%s: %s", response.Status, page)
		}
		return err
	})
}

// readAPI starts a client of the API server, which uses the kubeconfig file that is there at the time.
func (i *installation) readAPI() *steadyClient {
	i.t.Helper()
	return startClient(i.t, "the API server", 100*time.Millisecond, func(ctx context.Context) error {
		kubeconfig, err := os.ReadFile(filepath.Join(i.dir, "clusters", "dev", "kubeconfig"))
		if err != nil {
			return err
		}
		client, err := kube.NewClient(kubeconfig)
		if err != nil {
			return err
		}
		defer kube.CloseClient(client)
		_, err = client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		return err
	})
}

func growByTwo(i *installation) {
	i.runAndLog("scale", "cluster", "dev", "--num_nodes", "4")
	i.holds("get clusters says what is under way", func() bool {
		return strings.Contains(i.run("get", "clusters").stdout, "READY (adding 2)")
	})
	i.settled("sky-dev-0", "sky-dev-1", "sky-dev-2", "sky-dev-3")
	i.kubectl("dev", "scale", "deployment/web", "--replicas=6")
	i.kubectl("dev", "rollout", "status", "deployment/web", within(podPatience))
	for _, m := range i.cluster("dev").Status.Machines {
		if !strings.Contains(i.podsOn(m.NodeName), "web-") {
			i.t.Errorf("no pod of the service is on %s: its removal proves nothing", m.Name)
		}
	}
	applyFile(i)
}

func (i *installation) podsOn(node string) string {
	i.t.Helper()
	return i.kubectl("dev", "get", "pods", "-o", "name", "--field-selector", "spec.nodeName="+node)
}

// applyFile changes the labels of the cluster through a file, which is what get cluster prints.
func applyFile(i *installation) {
	file := filepath.Join(i.t.TempDir(), "dev.yaml")
	text := i.run("get", "cluster", "dev", "-o", "yaml", "--export").stdout
	text = strings.Replace(text, "  name: dev\n", "  name: dev\n  labels: {team: vision}\n", 1)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		i.t.Fatal(err)
	}
	if out := i.runAndLog("apply", "-f", file, "--wait"); !strings.HasPrefix(out, "cluster/dev configured\n") {
		i.t.Errorf("the first apply: %s", out)
	}
	if out := i.runAndLog("apply", "-f", file); out != "cluster/dev unchanged\n" {
		i.t.Errorf("the second apply: %s", out)
	}
	i.runAndLog("diff", "-f", file)
	i.holds("the label on every Node", func() bool {
		nodes := i.kubectl("dev", "get", "nodes", "-l", "team=vision", "-o", "name")
		return strings.Count(nodes, "node/") == len(i.cluster("dev").Status.Machines)
	})
}

// giveMoreMemory replaces the machines of a pool through a file.
func giveMoreMemory(i *installation) {
	before := i.cluster("dev")
	file := filepath.Join(i.t.TempDir(), "dev.yaml")
	text := i.run("get", "cluster", "dev", "-o", "yaml", "--export").stdout
	start := strings.Index(text, "name: train")
	if start < 0 {
		i.t.Fatalf("the file has no pool train:\n%s", text)
	}
	text = text[:start] + strings.Replace(text[start:], `memory: "2"`, `memory: "3"`, 1)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		i.t.Fatal(err)
	}
	if r := i.try("apply", "-f", file); r.code != 2 { // there is no terminal to ask on
		i.t.Errorf("an apply that replaces machines: exit %d, want 2\n%s", r.code, r.stderr)
	}
	i.runAndLog("apply", "-f", file, "--yes", "--wait")
	i.kubectl("dev", "rollout", "status", "deployment/trainer", within(podPatience))
	var names []string
	for _, m := range before.Status.Machines {
		names = append(names, m.Name)
	}
	for _, m := range i.settled(names...).Status.Machines {
		isNew := m.Incarnation != before.FindMachine(m.Name).Incarnation
		if isNew != (m.Pool == "train") || isNew && m.MemoryGiB != 3 {
			i.t.Errorf("%s in pool %q is new: %t, with %v GiB", m.Name, m.Pool, isNew, m.MemoryGiB)
		}
	}
}

func shrinkAndAddPool(i *installation) {
	steps := i.runAndLog("scale", "cluster", "dev", "--num_nodes", "2", "--dry-run")
	if n := strings.Count(steps, "\nremove "); n != 2 {
		i.t.Errorf("the dry run removes %d machines:\n%s", n, steps)
	}
	i.runAndLog("scale", "cluster", "dev", "--num_nodes", "2")
	i.runAndLog("create", "pool", "train", "--cluster", "dev", "--cpus", "1+", "--memory", "2", "--replicas", "2",
		"--labels", "tier=train", "--taints", "reserved=yes:NoSchedule", "--wait")
	c := i.settled("sky-dev-0", "sky-dev-[123]", "sky-dev-4", "sky-dev-5")
	if pools := i.runAndLog("get", "pools", "dev"); !regexp.MustCompile(
		`(?m)^default +1 +1 .*\ntrain +2 +2 `).MatchString(pools) {
		i.t.Errorf("get pools:\n%s", pools)
	}
	i.kubectl("dev", "rollout", "status", "deployment/trainer", within(podPatience))
	for _, m := range c.Status.Machines {
		node := i.kubectl("dev", "get", "node", m.NodeName, "-o",
			`jsonpath={.metadata.labels.tier} {.spec.taints[*].key}={.spec.taints[*].value}:{.spec.taints[*].effect}`)
		if inPool := node == "train reserved=yes:NoSchedule"; inPool != (m.Pool == "train") {
			i.t.Errorf("the Node of %s in pool %q has %q", m.Name, m.Pool, node)
		}
		if m.Pool == "train" && strings.Contains(i.podsOn(m.NodeName), "web-") {
			i.t.Errorf("a pod that does not tolerate the taint runs on %s", m.Name)
		}
	}
}

// replaceAndDeleteMachine changes two pools at the same time.
func replaceAndDeleteMachine(i *installation) {
	before := i.cluster("dev")
	worker := before.Status.Machines[1]
	leaves, stays := "sky-dev-4", "sky-dev-5"
	if !strings.Contains(i.podsOn(before.FindMachine(leaves).NodeName), "trainer-") {
		leaves, stays = stays, leaves
	}
	for _, change := range []string{"replace", "delete"} {
		if r := i.try(change, "machine", "sky-dev-0"); r.code != 2 || !strings.Contains(r.stderr, "sky-dev-0") {
			i.t.Errorf("%s the only server: exit %d, want 2\n%s", change, r.code, r.stderr)
		}
	}
	i.runAndLog("delete", "machine", leaves)
	i.runAndLog("replace", "machine", worker.Name, "--wait")
	i.kubectl("dev", "rollout", "status", "deployment/trainer", within(podPatience))
	i.runAndLog("scale", "cluster", "dev", "--pool", "train", "--replicas", "2", "--wait")
	c := i.settled("sky-dev-0", worker.Name, stays, "sky-dev-6")
	if c.FindMachine(worker.Name).Incarnation == worker.Incarnation {
		i.t.Errorf("%s is the machine of before", worker.Name)
	}
}

func deletePool(i *installation) {
	i.runAndLog("delete", "pool", "train", "--cluster", "dev", "--wait")
	i.settled("sky-dev-0", "sky-dev-[123]")
	if pods := i.kubectl("dev", "get", "pods", "--no-headers", "-l", "app=trainer"); !strings.Contains(pods,
		"Pending") {
		i.t.Errorf("the pod that only fitted into the pool:\n%s", pods)
	}
}

// settled waits until the cluster is in sync with exactly the machines whose names match, and compares them with the
// Docker engine, the Nodes and their secrets.
func (i *installation) settled(machines ...string) api.Cluster {
	i.t.Helper()
	isNamed := func(m api.Machine, pattern string) bool {
		matched, err := path.Match(pattern, m.Name)
		return matched && err == nil
	}
	c := i.await("dev", "settled at "+strings.Join(machines, ", "), func(c api.Cluster) bool {
		return c.Status.Phase == api.PhaseReady && c.Status.ObservedGeneration == c.Metadata.Generation &&
			c.Status.Operation == nil && len(c.Status.Drift) == 0 &&
			slices.EqualFunc(c.Status.Machines, machines, isNamed) &&
			machinesAt(len(machines), api.MachineReady)(c)
	})
	var hosts, names, nodes, secrets []string
	for _, h := range i.hosts("dev") {
		hosts = append(hosts, strings.TrimPrefix(h.Names[0], "/"))
	}
	for _, m := range c.Status.Machines {
		names = append(names, m.Name)
		nodes, secrets = append(nodes, m.NodeName), append(secrets, m.NodeName+".node-password.rke2")
	}
	slices.Sort(hosts)
	if !slices.Equal(hosts, names) {
		i.t.Errorf("the Docker hosts are %q, want %q", hosts, names)
	}
	var found []string
	for _, s := range strings.Fields(i.kubectl("dev", "get", "secrets", "-n", "kube-system", "-o",
		"jsonpath={.items[*].metadata.name}")) {
		if strings.HasSuffix(s, ".node-password.rke2") {
			found = append(found, s)
		}
	}
	slices.Sort(secrets)
	if !slices.Equal(found, secrets) {
		i.t.Errorf("the secrets are %q, want %q", found, secrets)
	}
	i.holds("exactly the Nodes "+strings.Join(nodes, ", ")+" are there, all Ready", func() bool {
		table := i.kubectl("dev", "get", "nodes", "--no-headers")
		return strings.Count(table, "\n") == len(nodes) && !slices.ContainsFunc(nodes, func(node string) bool {
			return !regexp.MustCompile(`(?m)^` + node + ` +Ready `).MatchString(table)
		})
	})
	i.checkMachineTable(c)
	return c
}

func (i *installation) checkMachineTable(c api.Cluster) {
	i.t.Helper()
	table := i.runAndLog("get", "machines", "dev")
	for _, m := range c.Status.Machines {
		pool := m.Pool
		if m.Role == api.RoleHead {
			pool = "-"
		}
		row := fmt.Sprintf(`(?m)^%s +%s +%s +Ready +%s +%s `, m.Name, pool, m.Role, m.NodeName, m.Address)
		if !regexp.MustCompile(row).MatchString(table) {
			i.t.Errorf("get machines has no row %s:\n%s", row, table)
		}
	}
	if n := strings.Count(table, "\n"); n != len(c.Status.Machines)+1 {
		i.t.Errorf("get machines has %d lines:\n%s", n, table)
	}
	cpus := 2 + len(c.Status.Machines) - 1 // the server's, and one of each worker
	row := fmt.Sprintf(`(?m)^dev +k8 .*/%d\.0 +READY +`, cpus)
	i.holds("get clusters has a row "+row, func() bool { // a sweep may have to measure the cluster first
		return regexp.MustCompile(row).MatchString(i.run("get", "clusters").stdout)
	})
}
