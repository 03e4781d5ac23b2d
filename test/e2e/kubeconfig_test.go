package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/kubeconfig"
	skytest "github.com/sky-shift/skyctl/test/skypilot"
)

// useHome gives skyctl's commands another home directory, in which somebody uses SkyPilot, until restore is called.
func (i *installation) useHome(skyPilotConfig string) (home string, restore func()) {
	i.t.Helper()
	home = i.t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".sky"), 0o700); err != nil {
		i.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".sky", "config.yaml"), []byte(skyPilotConfig), 0o600); err != nil {
		i.t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		i.t.Fatal(err)
	}
	before := i.env
	i.env = append(slices.Clone(before), "HOME="+home, "XDG_CACHE_HOME="+cache, "KUBECONFIG=")
	return home, func() { i.env = before }
}

// skyPilotSees merges the cluster into a kubeconfig with another context, which stays the current one.
func (w *gpuWorld) skyPilotSees(t *testing.T) {
	home, restore := w.useHome("jobs: {}\n")
	defer restore()
	own := filepath.Join(home, ".kube", "config")
	if err := os.Mkdir(filepath.Dir(own), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(own, []byte(`apiVersion: v1
kind: Config
current-context: own
clusters: [{name: own, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: own, user: {token: own}}]
contexts: [{name: own, context: {cluster: own, user: own}}]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	w.run("get", "kubeconfig", gpuCluster, "--merge")
	environ, err := skytest.PersonEnviron(t.Context(), home, w.bin)
	if err != nil {
		t.Fatal(err)
	}
	name := kubeconfig.ContextName(gpuCluster)
	v, err := skytest.ReadKubernetesView(t.Context(), environ, name)
	if err != nil {
		t.Fatal(err)
	}
	if !v.Enabled || !slices.Contains(v.Contexts, name) {
		t.Errorf("SkyPilot does not use the context %s: %+v", name, v)
	}
	if len(v.Accelerators) != 2 || slices.ContainsFunc(v.Accelerators, func(a skytest.NodeAccelerators) bool {
		return !strings.EqualFold(a.Name, "v100") || a.Count != 4
	}) {
		t.Errorf("SkyPilot finds the accelerators %+v, want two nodes with V100:4", v.Accelerators)
	}
}
