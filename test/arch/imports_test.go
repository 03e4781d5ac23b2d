package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sky-shift/skyctl/"

// mayImport lists for each package which packages of the project it may import, except in tests. A package that is
// missing here fails the test. A package without imports uses only libraries.
var mayImport = map[string]string{
	// Packages that all others may import.
	"pkg/api":       "pkg/lazyregexp pkg/release pkg/rke2config",
	"pkg/operation": "pkg/api",
	"pkg/release":   "",
	"pkg/version":   "",
	"pkg/config": "pkg/lazyregexp pkg/api pkg/atomicfile pkg/pki pkg/regularfile pkg/release pkg/spelling " +
		"pkg/yamltext",
	"pkg/contexts":     "pkg/lazyregexp pkg/config pkg/personalfile pkg/spelling pkg/yamltext",
	"pkg/pki":          "pkg/atomicfile pkg/regularfile",
	"pkg/atomicfile":   "",
	"pkg/regularfile":  "",
	"pkg/await":        "",
	"pkg/lazyregexp":   "",
	"pkg/filelock":     "pkg/await",
	"pkg/keyedlock":    "",
	"pkg/personalfile": "pkg/atomicfile pkg/await pkg/regularfile",

	// Pure functions, without I/O.
	"pkg/manifest":          "pkg/lazyregexp pkg/api pkg/spelling",
	"pkg/plan":              "pkg/api",
	"pkg/printable":         "",
	"pkg/redact":            "pkg/lazyregexp pkg/printable",
	"pkg/rke2config":        "pkg/release pkg/spelling",
	"pkg/rke2/componentlog": "",
	"pkg/spelling":          "",
	"pkg/yamltext":          "",

	// Packages that each access one external system.
	"pkg/computer":        "pkg/api pkg/diskspace",
	"pkg/diskspace":       "",
	"pkg/etcdsnapshot":    "",
	"pkg/home":            "pkg/lazyregexp pkg/api pkg/atomicfile pkg/regularfile pkg/remote",
	"pkg/store":           "pkg/api pkg/redact pkg/store/etcd pkg/store/jsonscan pkg/store/secretbox pkg/await",
	"pkg/requestlog":      "",
	"pkg/store/etcd":      "pkg/requestlog",
	"pkg/store/jsonscan":  "",
	"pkg/store/secretbox": "pkg/atomicfile pkg/regularfile",
	"pkg/remote":          "pkg/await pkg/regularfile pkg/printable pkg/redact",
	"pkg/cloud":           "pkg/api",
	"pkg/kube":            "pkg/api pkg/await",
	"pkg/kube/kubefile":   "pkg/atomicfile pkg/regularfile",
	"pkg/kubeconfig":      "pkg/atomicfile pkg/filelock pkg/personalfile pkg/regularfile pkg/yamltext",
	"pkg/rke2": "pkg/api pkg/regularfile pkg/release pkg/remote pkg/redact pkg/rke2/componentlog " +
		"pkg/rke2config",
	"pkg/rke2/preflight": "pkg/api pkg/await pkg/remote pkg/rke2",
	"pkg/poweroff":       "pkg/cloud pkg/remote",
	"pkg/sshtarget":      "pkg/api pkg/remote",
	"pkg/tunnel":         "pkg/api pkg/relay pkg/remote pkg/sshtarget pkg/store",
	"pkg/relay":          "",
	"pkg/gateway":        "pkg/access pkg/api pkg/printable pkg/relay pkg/remote pkg/sshtarget pkg/store",
	"pkg/access": "pkg/lazyregexp pkg/api pkg/printable pkg/redact pkg/remote pkg/spelling pkg/sshtarget " +
		"pkg/store",
	"pkg/access/debugbundle": "pkg/access pkg/api pkg/redact",
	"pkg/vault":              "pkg/atomicfile pkg/await pkg/diskspace pkg/filelock pkg/redact pkg/regularfile",
	"pkg/gpu":                "pkg/redact pkg/remote",
	"pkg/gpu/chart":          "pkg/api pkg/gpu pkg/regularfile pkg/release",
	"pkg/gpu/stack":          "pkg/api pkg/await pkg/gpu pkg/gpu/chart pkg/kube pkg/redact",

	// The clouds behind pkg/cloud.
	"pkg/cloud/docker": "pkg/api pkg/await pkg/cloud pkg/cloud/docker/engine pkg/cloud/docker/hostimage " +
		"pkg/cloud/docker/hostnet pkg/computer pkg/diskspace pkg/keyedlock",
	"pkg/cloud/docker/engine":    "pkg/cloud pkg/filelock pkg/keyedlock",
	"pkg/cloud/docker/hostimage": "pkg/cloud pkg/cloud/docker/engine",
	"pkg/cloud/docker/hostnet":   "pkg/api pkg/cloud pkg/cloud/docker/engine pkg/computer",
	"pkg/cloud/skypilot": "pkg/api pkg/await pkg/cloud pkg/keyedlock pkg/rke2config pkg/cloud/skypilot/aws " +
		"pkg/cloud/skypilot/bridge pkg/cloud/skypilot/client pkg/cloud/skypilot/failure " +
		"pkg/cloud/skypilot/firstlogin pkg/cloud/skypilot/launches pkg/cloud/skypilot/localserver " +
		"pkg/cloud/skypilot/logtext pkg/cloud/skypilot/task pkg/cloud/skypilot/venv",
	"pkg/cloud/skypilot/aws": "pkg/api pkg/await pkg/cloud pkg/cloud/skypilot/bridge pkg/cloud/skypilot/client " +
		"pkg/cloud/skypilot/failure pkg/cloud/skypilot/task",
	"pkg/cloud/skypilot/bridge": "pkg/cloud pkg/cloud/skypilot/logtext pkg/cloud/skypilot/task " +
		"pkg/cloud/skypilot/venv",
	"pkg/cloud/skypilot/client":     "pkg/await pkg/cloud pkg/cloud/skypilot/logtext",
	"pkg/cloud/skypilot/failure":    "pkg/cloud pkg/cloud/skypilot/client pkg/cloud/skypilot/logtext",
	"pkg/cloud/skypilot/firstlogin": "pkg/await pkg/cloud pkg/cloud/skypilot/client pkg/cloud/skypilot/logtext",
	"pkg/cloud/skypilot/launches": "pkg/await pkg/cloud pkg/cloud/skypilot/client pkg/cloud/skypilot/failure " +
		"pkg/cloud/skypilot/logtext",
	"pkg/cloud/skypilot/localserver": "pkg/await pkg/cloud pkg/cloud/skypilot/client pkg/cloud/skypilot/logtext " +
		"pkg/cloud/skypilot/venv pkg/filelock",
	"pkg/cloud/skypilot/logtext": "",
	"pkg/cloud/skypilot/task":    "pkg/api pkg/cloud",
	"pkg/cloud/skypilot/venv":    "pkg/cloud pkg/cloud/skypilot/client",

	// Activities, and the workflows that order them. Workflows use the signatures of activities and no clients; of the
	// clouds they use only the kinds of errors.
	"activities": "pkg/api pkg/cloud pkg/diskspace pkg/kube pkg/redact pkg/remote pkg/store pkg/tunnel " +
		"pkg/vault",
	"activities/homewatch": "activities pkg/api pkg/home pkg/operation pkg/remote pkg/sshtarget pkg/store",
	"activities/machines": "activities pkg/api pkg/cloud pkg/operation pkg/redact pkg/remote pkg/rke2 pkg/sshtarget " +
		"pkg/store pkg/version",
	"activities/nodes": "activities activities/homewatch pkg/api pkg/cloud pkg/kube pkg/kube/kubefile pkg/kubeconfig " +
		"pkg/operation pkg/etcdsnapshot pkg/poweroff pkg/redact pkg/remote pkg/rke2 pkg/rke2/preflight " +
		"pkg/rke2config pkg/sshtarget pkg/store pkg/tunnel",
	"activities/gpustack": "activities pkg/api pkg/gpu pkg/gpu/chart pkg/gpu/stack pkg/remote pkg/sshtarget pkg/store",
	"activities/observe": "activities activities/homewatch pkg/api pkg/cloud pkg/gpu/chart pkg/gpu/stack pkg/kube " +
		"pkg/kube/kubefile pkg/operation pkg/plan pkg/redact pkg/remote pkg/rke2 pkg/sshtarget pkg/store",
	"activities/record": "activities pkg/api pkg/cloud pkg/kube pkg/kube/kubefile pkg/kubeconfig pkg/operation " +
		"pkg/redact pkg/remote pkg/rke2 pkg/store",
	"activities/snapshots": "activities activities/homewatch pkg/api pkg/cloud pkg/diskspace pkg/etcdsnapshot " +
		"pkg/keyedlock pkg/operation pkg/redact pkg/remote pkg/rke2 pkg/sshtarget pkg/store pkg/vault",
	"workflows": "pkg/api pkg/operation pkg/plan pkg/cloud activities activities/gpustack activities/machines " +
		"activities/nodes activities/observe activities/record activities/snapshots",
	"worker": "pkg/api pkg/operation pkg/config pkg/client/connect pkg/client/start pkg/home pkg/plan " +
		"pkg/regularfile pkg/store pkg/remote pkg/tunnel pkg/gateway pkg/kube pkg/rke2 pkg/gpu/chart pkg/cloud " +
		"pkg/cloud/docker pkg/cloud/skypilot pkg/redact pkg/version workflows activities " +
		"activities/gpustack activities/homewatch activities/machines activities/nodes activities/observe " +
		"activities/record activities/snapshots",

	// The programs: skyctl, which only sends requests, and skyd, which does the work.
	"pkg/client/connect": "pkg/lazyregexp pkg/api pkg/requestlog pkg/config pkg/gateway pkg/redact pkg/regularfile " +
		"pkg/remote pkg/sshtarget pkg/store pkg/store/secretbox",
	"pkg/client/start": "pkg/operation",
	"pkg/client": "pkg/api pkg/operation pkg/config pkg/client/connect pkg/client/start pkg/manifest " +
		"pkg/plan pkg/store",
	"pkg/server/backup": "pkg/lazyregexp pkg/api pkg/atomicfile pkg/config pkg/diskspace pkg/etcdsnapshot pkg/home " +
		"pkg/regularfile pkg/server/daemon pkg/store pkg/store/secretbox",
	"pkg/server/daemon":  "pkg/await pkg/api pkg/config pkg/atomicfile pkg/regularfile",
	"pkg/server/unit":    "pkg/lazyregexp",
	"pkg/server/service": "pkg/lazyregexp pkg/atomicfile pkg/await pkg/regularfile pkg/server/unit",
	"pkg/cli/inputfile":  "pkg/regularfile",
	"pkg/cli/plugin":     "",
	"pkg/cli/printer":    "pkg/cli/render pkg/printable",
	"pkg/cli/render":     "pkg/lazyregexp pkg/api pkg/operation pkg/plan pkg/printable pkg/spelling",
	"pkg/cli/terminal":   "pkg/api pkg/cli/render pkg/printable",
	"pkg/cli": "pkg/cli/printer pkg/access/debugbundle pkg/atomicfile pkg/client/connect pkg/access pkg/api " +
		"pkg/cli/inputfile pkg/cli/plugin pkg/cli/render pkg/cli/terminal pkg/computer pkg/manifest pkg/operation " +
		"pkg/config pkg/contexts pkg/gateway pkg/server/backup pkg/server/daemon pkg/server/service pkg/server/unit " +
		"pkg/diskspace pkg/home pkg/kube/kubefile pkg/kubeconfig pkg/client pkg/plan pkg/regularfile pkg/remote " +
		"pkg/store pkg/tunnel pkg/await pkg/version pkg/printable pkg/spelling pkg/lazyregexp pkg/requestlog",
	"pkg/server/embedded": "pkg/await pkg/api pkg/computer pkg/operation pkg/config pkg/home pkg/regularfile " +
		"pkg/server/backup pkg/server/daemon pkg/diskspace pkg/pki pkg/atomicfile",
	"pkg/server/team": "pkg/await pkg/config pkg/client/connect pkg/pki pkg/atomicfile pkg/regularfile " +
		"pkg/store/secretbox",
	"cmd/skyctl":           "pkg/cli pkg/version",
	"release/certificates": "",
	"release/manpages":     "pkg/cli",
	"release/notices":      "",
	"cmd/skyd": "pkg/api pkg/config pkg/server/daemon pkg/server/embedded pkg/kube/kubefile pkg/pki pkg/store " +
		"pkg/cloud/skypilot/venv pkg/server/team pkg/version worker pkg/redact",
}

// forTests are packages that only tests import. No program links them.
var forTests = []string{"test/", "test/sshserver", "test/skydstub"}

// mayNotLink lists packages that a program must not link, even indirectly, to keep the command line small.
var mayNotLink = map[string][]string{
	"cmd/skyctl": {
		"go.temporal.io/server", "github.com/temporalio/ui-server", "go.etcd.io/etcd/server", "modernc.org/sqlite",
		"github.com/docker", "k8s.io/client-go/kubernetes", "k8s.io/client-go/rest", "k8s.io/kubernetes",
		"github.com/aws",
		module + "pkg/cloud", module + "pkg/server/embedded", module + "pkg/rke2", module + "pkg/vault",
		module + "activities", module + "workflows", module + "worker",
	},
	"cmd/skyd": {module + "pkg/cli", module + "pkg/contexts"}, // a service keeps its directory
	"pkg/cli": {module + "pkg/cloud", module + "activities", module + "workflows", "go.temporal.io/server",
		"go.etcd.io/etcd/server"},
	"pkg/cli/render": {"go.temporal.io", "go.etcd.io", "github.com/spf13/cobra"},
	"pkg/store":      {"go.etcd.io/etcd/server"},
}

// goPackage is go list's description of a package.
type goPackage struct {
	ImportPath string
	Imports    []string
	Deps       []string
	GoFiles    []string
	Dir        string
	Error      *struct{ Err string }
}

func (p goPackage) name() string { return strings.TrimPrefix(p.ImportPath, module) }

func list(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Imports,Deps,GoFiles,Dir,Error",
		"./...")
	cmd.Dir = "../.."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	var all []goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles) > 0 {
			all = append(all, p)
		}
	}
	if len(all) < 5 {
		t.Fatalf("go list found %d packages: this test reads the wrong directory", len(all))
	}
	return all
}

func under(path, root string) bool {
	root = strings.TrimSuffix(root, "/")
	return path == root || strings.HasPrefix(path, root+"/")
}

func onlyForTests(name string) bool {
	return slices.ContainsFunc(forTests, func(root string) bool { return under(name, root) })
}

// faults returns all violations of the tables by these packages, as text.
func faults(all []goPackage) []string {
	var found []string
	for _, p := range all {
		name := p.name()
		found = append(found, linked(p)...)
		if onlyForTests(name) {
			continue
		}
		allowed, listed := mayImport[name]
		if !listed {
			found = append(found, fmt.Sprintf("%s is not in the table: say in mayImport what it may import", name))
			continue
		}
		for _, imported := range p.Imports {
			if other, ours := strings.CutPrefix(imported, module); ours &&
				!slices.Contains(strings.Fields(allowed), other) {
				found = append(found, fmt.Sprintf("%s imports %s; it may import: %s", name, other, orNothing(allowed)))
			}
		}
	}
	return found
}

func linked(p goPackage) []string {
	var found []string
	for _, dep := range p.Deps {
		if strings.HasPrefix(p.name(), "cmd/") && onlyForTests(strings.TrimPrefix(dep, module)) &&
			strings.HasPrefix(dep, module) {
			found = append(found, fmt.Sprintf("%s links %s, which is for tests", p.name(), dep))
		}
		for _, root := range mayNotLink[p.name()] {
			if under(dep, root) {
				found = append(found, fmt.Sprintf("%s links %s; it must not link anything of %s", p.name(), dep, root))
			}
		}
	}
	return found
}

func orNothing(s string) string {
	if s == "" {
		return "nothing of the project"
	}
	return s
}

func TestPackagesImportOnlyAllowedPackages(t *testing.T) {
	for _, fault := range faults(list(t)) {
		t.Error(fault)
	}
}

func TestForbiddenImportsAreFound(t *testing.T) {
	for _, c := range []struct {
		p    goPackage
		says string
	}{
		{goPackage{ImportPath: module + "pkg/version", Imports: []string{"fmt", module + "pkg/store"}},
			"pkg/version imports pkg/store; it may import: nothing of the project"},
		{goPackage{ImportPath: module + "workflows", Imports: []string{module + "pkg/kube"}},
			"workflows imports pkg/kube"},
		{goPackage{ImportPath: module + "pkg/cli", Imports: []string{module + "activities"}},
			"pkg/cli imports activities"},
		{goPackage{ImportPath: module + "pkg/new"}, "pkg/new is not in the table"},
		{goPackage{ImportPath: module + "cmd/skyctl", Deps: []string{"fmt", "go.temporal.io/server/common"}},
			"cmd/skyctl links go.temporal.io/server/common"},
		{goPackage{ImportPath: module + "cmd/skyctl", Deps: []string{module + "pkg/cloud/docker"}},
			"must not link anything of"},
		{goPackage{ImportPath: module + "cmd/skyd", Deps: []string{module + "test/sshserver"}}, "which is for tests"},
	} {
		if got := strings.Join(faults([]goPackage{c.p}), "\n"); !strings.Contains(got, c.says) {
			t.Errorf("%s: found %q, want %q", c.p.name(), got, c.says)
		}
	}
	fine := []goPackage{
		{ImportPath: module + "pkg/store", Imports: []string{"os", module + "pkg/api"},
			Deps: []string{"go.etcd.io/etcd/client/v3", "go.temporal.io/serverless"}},
		{ImportPath: module + "test/e2e", Imports: []string{module + "pkg/store"}},
	}
	if got := faults(fine); len(got) > 0 {
		t.Errorf("reported a valid import: %q", got)
	}
}
