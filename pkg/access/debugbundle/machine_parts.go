package debugbundle

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/sky-shift/skyctl/pkg/access"
	"github.com/sky-shift/skyctl/pkg/api"
)

// maxMachines bounds the machines whose logs are collected.
const maxMachines = 50

// machineScripts print what explains the state of a machine. Each output is cut to its end on the machine, so that a
// part is no larger than the bundle takes. The paths are those of RKE2's documentation and of cloud-init's.
var machineScripts = map[string]string{
	"rke2.log": "journalctl -q --no-pager -o short-iso -n 10000 -u rke2-server -u rke2-agent",
	"system.log": "journalctl -q --no-pager -o short-iso -n 5000 -p notice; echo; dmesg 2>/dev/null | tail -n 500; " +
		"true",
	"kubelet.log":    "cat /var/lib/rancher/rke2/agent/logs/kubelet.log",
	"containerd.log": "cat /var/lib/rancher/rke2/agent/containerd/containerd.log",
	"cloud-init.log": "for f in /var/log/cloud-init-output.log /var/log/cloud-init.log; do [ ! -e $f ] || " +
		"{ echo \"== $f\"; tail -n 3000 $f; }; done",
	"state.txt": `for c in 'cat /etc/os-release' 'uname -a' uptime 'date -u' 'df -h' 'df -i' 'free -m' 'ip address' ` +
		`'ip route' 'ss -ltn' 'systemctl --failed --no-pager' ` +
		`'systemctl status --no-pager -n 0 rke2-server rke2-agent' ` +
		`'ps -eo pid,user,stat,etime,rss,comm --sort -rss'; do echo "== $c"; ` +
		`timeout 20 sh -c "$c" 2>&1 | head -n 200; echo; done`,
}

// kubernetesScripts print what Kubernetes knows, asked on the head.
var kubernetesScripts = map[string]string{
	"nodes.txt":  "kubectl get nodes -o wide; echo; kubectl describe nodes",
	"pods.txt":   "kubectl get pods -A -o wide",
	"events.txt": "kubectl get events -A -o wide --sort-by=.lastTimestamp",
	"workloads.txt": "kubectl get deployments,daemonsets,statefulsets,jobs,services,pvc,helmcharts.helm.cattle.io " +
		"-A -o wide",
	"unready-pods.txt": "kubectl get pods -A --no-headers | awk '{split($3, r, \"/\")} $4 != \"Completed\" && r[1] " +
		"!= r[2] {print $1, $2}' | head -n 30 | while read -r ns pod; do kubectl describe pod -n \"$ns\" \"$pod\"; " +
		"kubectl logs -n \"$ns\" \"$pod\" --all-containers --tail 200 --prefix; done 2>&1",
}

const kubectlEnv = "export KUBECONFIG=/etc/rancher/rke2/rke2.yaml PATH=$PATH:/var/lib/rancher/rke2/bin\n" +
	"k=$(command -v kubectl) || { echo 'RKE2 is not installed' >&2; exit 1; }\n" +
	"kubectl() { timeout 60 \"$k\" --request-timeout=30s \"$@\"; }\n"

// NewMachineParts returns the parts about the machines of a cluster, those that are not Ready first, and about
// Kubernetes.
func NewMachineParts(login *access.Login, c *api.Cluster) []Part {
	machines := slices.DeleteFunc(slices.Clone(c.Status.Machines), func(m api.Machine) bool {
		return !m.State.MayExist()
	})
	slices.SortStableFunc(machines, func(a, b api.Machine) int {
		return cmp.Or(rankMachine(a)-rankMachine(b), a.Index-b.Index)
	})
	var parts []Part
	for i, m := range machines {
		if i == maxMachines {
			parts = append(parts, Part{"machines", func(context.Context) ([]byte, error) {
				return nil, fmt.Errorf("the logs of %d further machines are left out", len(machines)-maxMachines)
			}})
			break
		}
		parts = append(parts, newScriptParts(login, access.Target{Cluster: c, Machine: m}, "machines/"+m.Name, "",
			machineScripts)...)
	}
	if heads, err := access.SelectTargets(c, access.Selection{}); err == nil {
		parts = append(parts, newScriptParts(login, heads[0], "kubernetes", kubectlEnv, kubernetesScripts)...)
	}
	return parts
}

// rankMachine is low for the machines that explain most.
func rankMachine(m api.Machine) int {
	switch {
	case m.Role == api.RoleHead:
		return 0
	case m.State != api.MachineReady:
		return 1
	}
	return 2
}

func newScriptParts(login *access.Login, t access.Target, dir, before string, scripts map[string]string) []Part {
	var parts []Part
	for name, script := range scripts {
		parts = append(parts, Part{dir + "/" + name, func(ctx context.Context) ([]byte, error) {
			h, err := login.Connect(ctx, t)
			if err != nil {
				return nil, err
			}
			return h.RunScript(ctx, "reading "+name, before+boundOutput(script))
		}})
	}
	slices.SortFunc(parts, func(a, b Part) int { return cmp.Compare(a.Name, b.Name) })
	return parts
}

// boundOutput keeps the end of a script's output, with its errors.
func boundOutput(script string) string {
	return fmt.Sprintf("{\n%s\n} 2>&1 | tail -c %d", script, maxPart+1)
}
