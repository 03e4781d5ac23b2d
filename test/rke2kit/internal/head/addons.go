package head

import (
	"context"
	"embed"
	"fmt"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/proc"
)

// addons are the kinds and objects of RKE2's own charts, on which users may rely, that a server adds to its cluster.
//
//go:embed addons
var addons embed.FS

// addonPaths are the API paths of their kinds.
var addonPaths = map[string]string{
	"CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/",
	"RuntimeClass":             "/apis/node.k8s.io/v1/runtimeclasses/",
}

func (h *Head) applyAddons(ctx context.Context) error {
	files, err := addons.ReadDir("addons")
	if err != nil {
		return err
	}
	for _, file := range files {
		data, err := addons.ReadFile("addons/" + file.Name())
		if err != nil {
			return err
		}
		var object struct {
			Kind     string
			Metadata struct{ Name string }
		}
		if err := yaml.Unmarshal(data, &object); err != nil {
			return fmt.Errorf("read addon %s: %w", file.Name(), err)
		}
		path := addonPaths[object.Kind] + object.Metadata.Name
		if err := h.awaitCondition(ctx, object.Kind+" "+object.Metadata.Name,
			func() error { return h.api.ApplyObject(ctx, path, "rke2kit", data) }); err != nil {
			return err
		}
	}
	return nil
}

// startHelmController serves HelmCharts, as RKE2 does, with the administrator's rights.
func (h *Head) startHelmController(ctx context.Context) error {
	return h.group.Start(ctx, proc.Spec{Name: "helm-controller", Path: h.opts.KubeBinary, Args: []string{
		"helm-controller",
		"--kubeconfig=" + h.serverPath("cred", "helm-controller.kubeconfig"),
		// The path is the same on every node: a Job may run on any.
		"--job-binary=" + filepath.Join(h.opts.DataDir, "bin", "kubectl"),
	}, Log: h.serverPath("logs", "helm-controller.log")})
}
