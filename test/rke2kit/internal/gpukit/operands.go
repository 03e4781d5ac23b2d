package gpukit

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// operand is one DaemonSet of the operator, named as by the real operator.
type operand struct {
	name, deploy, state string // DaemonSet, end of the node's label, state in the operator's messages
	container, init     string // names of its container and of the init container that it waits in
	account             string
	section             func(*policy) operandConfig
	enabled             func(*policy) bool
	// run is the argument of its container, wait what its init container waits for.
	run  []string
	wait func(*policy) []string
	// mounts maps paths in the pod to host directories, which are created if missing.
	mounts map[string]string
	// hostPID runs the pod in the host's PID namespace: systemd rejects clients whose process it cannot see.
	hostPID bool
}

// operands in the order in which they depend on each other.
var operands = []operand{
	{
		name: "nvidia-driver-daemonset", deploy: "driver", state: "state-driver",
		container: "nvidia-driver-ctr", init: "k8s-driver-manager", account: "default",
		section: func(p *policy) operandConfig { d := p.Spec.Driver; d.Version += "-ubuntu24.04"; return d },
		enabled: func(p *policy) bool { return p.Spec.Driver.isEnabled() },
		run:     []string{"driver"},
		wait:    func(*policy) []string { return nil },
		mounts:  map[string]string{validations: validations},
	},
	{
		name: "nvidia-container-toolkit-daemonset", deploy: "container-toolkit", state: "state-container-toolkit",
		container: "nvidia-container-toolkit-ctr", init: "driver-validation", account: "default",
		section: func(p *policy) operandConfig { return p.Spec.Toolkit },
		enabled: func(p *policy) bool { return p.Spec.Toolkit.isEnabled() },
		run:     []string{"toolkit"},
		wait: func(p *policy) []string {
			if p.Spec.Driver.isEnabled() {
				return []string{driverReady}
			}
			return nil
		},
		mounts: map[string]string{validations: validations, hostRoot: "/"}, hostPID: true,
	},
	{
		name: "nvidia-operator-validator", deploy: "operator-validator", state: "state-operator-validation",
		container: "nvidia-operator-validator", init: "plugin-validation", account: "nvidia-operator-validator",
		section: func(p *policy) operandConfig { return p.Spec.Validator },
		enabled: func(*policy) bool { return true },
		run:     []string{"validator"},
		wait: func(p *policy) []string {
			if p.Spec.DevicePlugin.isEnabled() {
				return []string{devicesReady}
			}
			return nil
		},
	},
	{
		name: "nvidia-device-plugin-daemonset", deploy: "device-plugin", state: "state-device-plugin",
		container: "nvidia-device-plugin", init: "toolkit-validation", account: "default",
		section: func(p *policy) operandConfig { return p.Spec.DevicePlugin },
		enabled: func(p *policy) bool { return p.Spec.DevicePlugin.isEnabled() },
		run:     []string{"device-plugin"}, wait: afterToolkit,
		mounts: map[string]string{validations: validations,
			"/var/lib/kubelet/device-plugins": "/var/lib/kubelet/device-plugins"},
	},
	{
		name: "gpu-feature-discovery", deploy: "gpu-feature-discovery", state: "gpu-feature-discovery",
		container: "gpu-feature-discovery", init: "toolkit-validation", account: "nvidia-gpu-feature-discovery",
		section: func(p *policy) operandConfig { return p.Spec.GFD },
		enabled: func(p *policy) bool { return p.Spec.GFD.isEnabled() },
		run:     []string{"gfd"}, wait: afterToolkit,
		mounts: map[string]string{validations: validations},
	},
}

func afterToolkit(p *policy) []string {
	if p.Spec.Toolkit.isEnabled() {
		return []string{toolkitReady}
	}
	return nil
}

// renderDaemonSet returns the DaemonSet and the hash of its template.
func (op operand) renderDaemonSet(p *policy, namespace string) ([]byte, string, error) {
	type m = map[string]any
	labels := map[string]string{"app": op.name, "app.kubernetes.io/part-of": "nvidia-gpu"}
	all := maps.Clone(labels)
	maps.Copy(all, p.Spec.DaemonSets.Labels)
	volumes, mounts := volumesOf(op)
	container := func(name string, args []string) m {
		return m{
			"name": name, "image": op.section(p).imageReference(), "imagePullPolicy": op.section(p).ImagePullPolicy,
			"args": args, "volumeMounts": mounts,
			"env": containerEnv(op.section(p)),
		}
	}
	template := m{
		"metadata": m{"labels": all, "annotations": p.Spec.DaemonSets.Annotations},
		"spec": m{
			"nodeSelector":       m{deployPrefix + op.deploy: "true"},
			"tolerations":        p.Spec.DaemonSets.Tolerations,
			"priorityClassName":  p.Spec.DaemonSets.PriorityClassName,
			"serviceAccountName": op.account,
			"hostPID":            op.hostPID,
			"initContainers":     []m{container(op.init, append([]string{"wait", op.run[0]}, op.wait(p)...))},
			"containers":         []m{container(op.container, op.run)},
			"volumes":            volumes,
			// A terminating pod has nothing to finish.
			"terminationGracePeriodSeconds": 2,
		},
	}
	data, err := json.Marshal(template)
	if err != nil {
		return nil, "", fmt.Errorf("render DaemonSet %s: %w", op.name, err)
	}
	sum := sha256.Sum256(data)
	hash := fmt.Sprintf("%x", sum[:8])
	object, err := json.Marshal(m{
		"apiVersion": "apps/v1", "kind": "DaemonSet",
		"metadata": m{
			"name": op.name, "namespace": namespace, "labels": all, "annotations": m{hashAnnotation: hash},
			"ownerReferences": []m{{
				"apiVersion": "nvidia.com/v1", "kind": "ClusterPolicy", "name": p.Metadata.Name, "uid": p.Metadata.UID,
				"controller": true, "blockOwnerDeletion": true,
			}},
		},
		"spec": m{"selector": m{"matchLabels": labels}, "template": template},
	})
	return object, hash, err
}

// containerEnv returns the policy's variables and the node's name. The API rejects duplicate names: the last one wins.
func containerEnv(p operandConfig) []any {
	type m = map[string]any
	last := map[string]string{}
	var order []string
	for _, e := range p.Env {
		if _, seen := last[e.Name]; !seen {
			order = append(order, e.Name)
		}
		last[e.Name] = e.Value
	}
	env := []any{m{"name": "NODE_NAME", "valueFrom": m{"fieldRef": m{"fieldPath": "spec.nodeName"}}}}
	for _, name := range order {
		env = append(env, m{"name": name, "value": last[name]})
	}
	return env
}

func volumesOf(op operand) (volumes, mounts []any) {
	type m = map[string]any
	all := map[string]string{HostDir: HostDir}
	maps.Copy(all, op.mounts)
	paths := make([]string, 0, len(all))
	for path := range all {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for i, path := range paths {
		name := fmt.Sprintf("host-%d", i)
		volumes = append(volumes, m{"name": name, "hostPath": m{"path": all[path], "type": "DirectoryOrCreate"}})
		mounts = append(mounts, m{"name": name, "mountPath": path})
	}
	return volumes, mounts
}
