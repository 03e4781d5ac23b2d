// Package staticpod writes the manifests of placeholder pods: they have the names, labels and resource requests of
// RKE2's static pods, so that a machine has as much room left for other pods. The components themselves run as child
// processes of the supervisor; their logs are where those of the pods would be.
package staticpod

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Components that RKE2 runs as static pods.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	Scheduler         = "kube-scheduler"
	ControllerManager = "kube-controller-manager"
	CloudController   = "cloud-controller-manager"
	KubeProxy         = "kube-proxy"
)

// ControlPlane are the pods that RKE2 removes when the Node of their server is deleted (rke2 pkg/rke2/spc.go).
var ControlPlane = []string{APIServer, Scheduler, ControllerManager, CloudController, Etcd}

// Logs is the kubelet's directory of pods' logs.
const Logs = "/var/log/pods"

// container is the name of a placeholder's container. It is not the component's: the kubelet would take the
// component's log for an earlier run of the container, and count a restart.
const container = "placeholder"

// request is what a pod requests, as Kubernetes writes quantities.
type request struct{ CPU, Memory string }

// defaultRequests are those of rke2 pkg/podtemplate/config.go.
var defaultRequests = map[string]request{
	APIServer:         {"250m", "1024Mi"},
	Scheduler:         {"100m", "128Mi"},
	ControllerManager: {"200m", "256Mi"},
	KubeProxy:         {"250m", "128Mi"},
	Etcd:              {"200m", "512Mi"},
	CloudController:   {"100m", "128Mi"},
}

// Requests are what the pods of a server request.
type Requests map[string]request

// ParseRequests reads the key control-plane-resource-requests: entries such as etcd-cpu=500m over the defaults.
func ParseRequests(entries []string) (Requests, error) {
	all := Requests{}
	for component, r := range defaultRequests {
		all[component] = r
	}
	for _, entry := range entries {
		key, value, found := strings.Cut(entry, "=")
		if !found {
			return nil, fmt.Errorf("incorrectly formatted control plane resource request specified: %s", entry)
		}
		// Keys that no component has are ignored, as in RKE2.
		for component, r := range all {
			switch key {
			case component + "-cpu":
				r.CPU = value
			case component + "-memory":
				r.Memory = value
			}
			all[component] = r
		}
	}
	return all, nil
}

// Pod is one placeholder.
type Pod struct {
	Component string
	Node      string // name of the Node
	Image     string // of the pause program
	Args      []string
	Requests  Requests
	Logs      string // directory of pods' logs
}

// uid changes with what the pod runs, as in RKE2 (rke2 pkg/executor/staticpod/staticpod.go, writeTemplate): the kubelet
// then makes another pod.
func (p Pod) uid() string {
	r := p.Requests[p.Component]
	parts := append([]string{p.Component, p.Image, r.CPU, r.Memory}, p.Args...)
	sum := md5.Sum([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}

// render returns the manifest, which is JSON and so YAML too.
func (p Pod) render() ([]byte, error) {
	type m = map[string]any
	r := p.Requests[p.Component]
	return json.MarshalIndent(m{
		"apiVersion": "v1",
		"kind":       "Pod",
		"metadata": m{
			"name": p.Component, "namespace": "kube-system", "uid": p.uid(),
			"labels": m{"component": p.Component, "tier": "control-plane"},
		},
		"spec": m{
			"containers": []m{{
				"name": container, "image": p.Image, "imagePullPolicy": "IfNotPresent",
				"resources": m{"requests": m{"cpu": r.CPU, "memory": r.Memory}},
			}},
			"hostNetwork":                   true,
			"priorityClassName":             "system-cluster-critical",
			"terminationGracePeriodSeconds": 1,
		},
	}, "", "  ")
}

// Write writes the pod's manifest into dir, if it is new.
func (p Pod) Write(dir string) error {
	data, err := p.render()
	if err != nil {
		return fmt.Errorf("render static pod %s: %w", p.Component, err)
	}
	file := manifestPath(dir, p.Component)
	if old, err := os.ReadFile(file); err == nil && string(old) == string(data) {
		return nil
	}
	if err := writeManifest(file, data); err != nil {
		return fmt.Errorf("write static pod %s: %w", p.Component, err)
	}
	return nil
}

// IsIn reports whether dir has a manifest of the component.
func (p Pod) IsIn(dir string) bool {
	_, err := os.Stat(manifestPath(dir, p.Component))
	return err == nil
}

// LogFile is the file of the component's log. The kubelet removes those of pods that it does not know, once a minute.
func (p Pod) LogFile() string {
	return filepath.Join(p.Logs, "kube-system_"+p.Component+"-"+p.Node+"_"+p.uid(), p.Component, "0.log")
}

// writeManifest writes beside the directory first: the kubelet reads every file in it.
func writeManifest(file string, data []byte) error {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tmp := dir + "." + filepath.Base(file)
	if err := os.WriteFile(tmp, data, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, file)
}

// Remove removes the manifests of components from dir, where they are.
func Remove(dir string, components ...string) error {
	for _, component := range components {
		if err := os.Remove(manifestPath(dir, component)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove static pod %s: %w", component, err)
		}
	}
	return nil
}

// RemoveOthers removes the manifests of all components but these: what a machine ran in another role or with another
// configuration.
func RemoveOthers(dir string, components ...string) error {
	for component := range defaultRequests {
		if slices.Contains(components, component) {
			continue
		}
		if err := Remove(dir, component); err != nil {
			return err
		}
	}
	return nil
}

func manifestPath(dir, component string) string { return filepath.Join(dir, component+".yaml") }
