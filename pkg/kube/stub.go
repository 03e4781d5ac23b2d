// Package kube reads and changes a cluster through its Kubernetes API: readiness of nodes, capacity, kubeconfigs.
package kube

import (
	"context"

	"github.com/sky-shift/skyctl/pkg/api"
	"k8s.io/client-go/kubernetes"
	_ "k8s.io/client-go/tools/clientcmd"
)

func EditKubeconfig(raw []byte, cluster, server string) ([]byte, error) { panic("not written yet") }
func Client(kubeconfig []byte) (kubernetes.Interface, error)            { panic("not written yet") }
func WaitNodeReady(ctx context.Context, cs kubernetes.Interface, nodeName string, progress func(string)) error {
	panic("not written yet")
}
func NodesReady(ctx context.Context, cs kubernetes.Interface, names []string) (ready []string, notReady map[string]string, err error) {
	panic("not written yet")
}

// Given says what a machine was given; 0 where that is what it shows.
type Given func(api.Machine) (cpus, memoryGiB float64)

// Resources sums up what the machines' nodes have. accelerator is the name that the spec gives its accelerators, "" for none.
func Resources(ctx context.Context, cs kubernetes.Interface, machines []api.Machine, given Given, accelerator string) (api.Resources, api.Versions, error) {
	panic("not written yet")
}
func WriteKubeconfigFile(path string, data []byte) error { panic("not written yet") }

// RemoveKubeconfigDir removes the directory that holds a cluster's kubeconfig.
func RemoveKubeconfigDir(dir string) error { panic("not written yet") }
func DeleteNode(ctx context.Context, cs kubernetes.Interface, name string) error {
	panic("not written yet")
}
