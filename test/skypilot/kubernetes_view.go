package skypilot

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sky-shift/skyctl/test/process"
)

// KubernetesView is what SkyPilot finds in a person's kubeconfig.
type KubernetesView struct {
	Enabled bool
	// Reasons are SkyPilot's own words on each context.
	Reasons string
	// Contexts are those that SkyPilot may use.
	Contexts []string
	// Accelerators are those of the context's nodes, by the names that --gpus takes.
	Accelerators []NodeAccelerators
}

// NodeAccelerators are the accelerators of a node.
type NodeAccelerators struct {
	Name  string
	Count int
}

// PersonEnviron is the environment of a person with this home directory, who has SkyPilot and the programs in bin.
func PersonEnviron(ctx context.Context, home, bin string) ([]string, error) {
	venv, err := EnsureVenv(ctx)
	if err != nil {
		return nil, err
	}
	path := []string{filepath.Join(venv, "bin"), bin, os.Getenv("PATH")}
	return []string{"HOME=" + home, "PATH=" + strings.Join(path, string(os.PathListSeparator)), "LANG=C.UTF-8",
		"SKYPILOT_DISABLE_USAGE_COLLECTION=1"}, nil
}

// ReadKubernetesView returns what SkyPilot finds in a context of that person's kubeconfig.
func ReadKubernetesView(ctx context.Context, environ []string, kubeContext string) (KubernetesView, error) {
	var v KubernetesView
	venv, err := EnsureVenv(ctx)
	if err != nil {
		return v, err
	}
	code, err := files.ReadFile("python/skytest/kubernetes_view.py")
	if err != nil {
		return v, err
	}
	r, err := process.Run(ctx, process.Options{Env: environ,
		Argv: []string{filepath.Join(venv, "bin", "python"), "-c", string(code), kubeContext}})
	if err != nil || r.Code != 0 {
		return v, fmt.Errorf("read SkyPilot's view of the context %s: exit %d, %v\n%s%s", kubeContext, r.Code, err,
			r.Stdout,
			r.Stderr)
	}
	lines := strings.Split(strings.TrimSpace(r.Stdout), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &v); err != nil {
		return v, fmt.Errorf("SkyPilot's view of the context %s: %w\n%s", kubeContext, err, r.Stdout)
	}
	return v, nil
}
