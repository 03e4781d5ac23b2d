package gpukit

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/kubeapi"
)

const (
	pciLabel     = "feature.node.kubernetes.io/pci-10de.present"
	kernelLabel  = "feature.node.kubernetes.io/kernel-version.full"
	presentLabel = "nvidia.com/gpu.present"
	deployPrefix = "nvidia.com/gpu.deploy."
	labelPoll    = time.Second
)

// node is what is looked at in a Node.
type node struct {
	Metadata struct {
		Name   string            `json:"name"`
		Labels map[string]string `json:"labels"`
	} `json:"metadata"`
	Status struct {
		Allocatable map[string]string `json:"allocatable"`
	} `json:"status"`
}

const nodesPath = "/api/v1/nodes"

func readNode(ctx context.Context, api *kubeapi.Client, name string) (node, error) {
	var n node
	err := api.CallJSON(ctx, http.MethodGet, nodesPath+"/"+name, nil, &n)
	return n, err
}

// patchNodeLabels sets these labels on a node; nil removes a label. It writes only differences.
func patchNodeLabels(ctx context.Context, api *kubeapi.Client, n node, want map[string]any) error {
	differs := map[string]any{}
	for key, value := range want {
		have, there := n.Metadata.Labels[key]
		if value == nil && there || value != nil && have != value {
			differs[key] = value
		}
	}
	if len(differs) == 0 {
		return nil
	}
	patch := map[string]any{"metadata": map[string]any{"labels": differs}}
	return api.CallJSON(ctx, http.MethodPatch, nodesPath+"/"+n.Metadata.Name, patch, nil)
}

// keepLabels keeps the labels of this pod's node in line with its machine until ctx ends. It tolerates errors of the
// apiserver, which may be restarting.
func keepLabels(ctx context.Context, api *kubeapi.Client, dir, operand string,
	labels func(machine) map[string]any) error {
	last := ""
	return pollUntil(ctx, labelPoll, func() (bool, error) {
		if err := crashIfRequested(os.Stderr, dir, operand); err != nil {
			return false, err
		}
		m, err := readMachine(dir)
		if err == nil {
			err = applyOwnLabels(ctx, api, labels(m))
		}
		if now := fmt.Sprintf("%d accelerators, error: %v", m.gpus, err); now != last {
			fmt.Println(now)
			last = now
		}
		return false, nil
	})
}

func applyOwnLabels(ctx context.Context, api *kubeapi.Client, labels map[string]any) error {
	n, err := readNode(ctx, api, os.Getenv("NODE_NAME"))
	if err != nil {
		return err
	}
	return patchNodeLabels(ctx, api, n, labels)
}

// nfdLabels are the labels of Node Feature Discovery, as the GPU Operator has it configured.
func nfdLabels(m machine) map[string]any {
	labels := map[string]any{pciLabel: nil, kernelLabel: kernelRelease()}
	if m.gpus > 0 {
		labels[pciLabel] = "true"
	}
	return labels
}

func kernelRelease() string {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(release))
}

// gfdLabels are the labels of GPU Feature Discovery.
func gfdLabels(m machine) map[string]any {
	keys := []string{"gpu.count", "gpu.product", "cuda.driver-version.full", "cuda.driver.major", "cuda.driver.minor",
		"cuda.driver.rev"}
	labels := map[string]any{}
	for _, key := range keys {
		labels["nvidia.com/"+key] = nil
	}
	if m.gpus == 0 {
		return labels
	}
	labels["nvidia.com/gpu.count"] = strconv.Itoa(m.gpus)
	labels["nvidia.com/gpu.product"] = m.product
	labels["nvidia.com/cuda.driver-version.full"] = m.driver
	for i, part := range strings.SplitN(m.driver, ".", 3) {
		labels["nvidia.com/"+keys[3+i]] = part
	}
	return labels
}
