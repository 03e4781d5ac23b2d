package skypilot

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/client"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/failure"
	"github.com/sky-shift/skyctl/test/needs"
)

// ensureVenv returns a virtual environment with a file's pinned packages.
func ensureVenv(t *testing.T, requirements string) string {
	t.Helper()
	needs.SkyPilot(t)
	cmd := exec.CommandContext(t.Context(), "bash", "../../../test/skypilot/venv.sh", requirements)
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", requirements, err)
	}
	return strings.TrimSpace(string(out))
}

// askSource runs testdata/rights.py in the tests' SkyPilot, together with Azure's own models.
func askSource(t *testing.T, answer any, args ...string) {
	t.Helper()
	models, err := filepath.Glob(filepath.Join(ensureVenv(t, "testdata/azure.txt"), "lib", "python*", "site-packages"))
	if err != nil || len(models) != 1 {
		t.Fatalf("Azure's models: %v, %v", models, err)
	}
	path := []string{models[0]}
	for _, dir := range []string{"localserver/python", "bridge/python"} {
		full, err := filepath.Abs(dir)
		if err != nil {
			t.Fatal(err)
		}
		path = append(path, full)
	}
	python := filepath.Join(ensureVenv(t, "../../../test/skypilot/requirements.txt"), "bin", "python")
	cmd := exec.CommandContext(t.Context(), python, append([]string{"testdata/rights.py"}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "PYTHONPATH="+strings.Join(path, string(os.PathListSeparator)),
		"PYTHONDONTWRITEBYTECODE=1", "SKYPILOT_DISABLE_USAGE_COLLECTION=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), answer); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

func TestPluginCreatesAzureMachinesWithoutIdentity(t *testing.T) {
	type asked struct{ Deployed, Identities, Written []string }
	var plain, lean asked
	askSource(t, &plain, "azure", "plain")
	if !slices.Contains(plain.Deployed, "Microsoft.Authorization/roleAssignments") || len(plain.Identities) != 1 {
		t.Errorf("without the plugin there would be no rights to take away: %+v", plain)
	}
	askSource(t, &lean, "azure", "lean")
	for _, kind := range lean.Deployed {
		if strings.HasPrefix(kind, "Microsoft.Authorization/") ||
			strings.HasPrefix(kind, "Microsoft.ManagedIdentity/") {
			t.Errorf("%s is created", kind)
		}
	}
	if len(lean.Identities) > 0 || slices.Contains(lean.Written, "identity") ||
		!slices.Contains(lean.Written, "properties") {
		t.Errorf("the machine has an identity: %+v", lean)
	}
}

func TestPluginCreatesGCPMachinesWithoutServiceAccount(t *testing.T) {
	type asked struct {
		Identities []string
		IAMCalls   int `json:"iam_calls"`
		Name       string
	}
	var plain, lean asked
	askSource(t, &plain, "gcp", "plain")
	if len(plain.Identities) != 1 || !strings.Contains(plain.Identities[0], "auth/cloud-platform") ||
		plain.IAMCalls == 0 {
		t.Errorf("without the plugin there would be no rights to take away: %+v", plain)
	}
	askSource(t, &lean, "gcp", "lean")
	if len(lean.Identities) > 0 || lean.IAMCalls > 0 || lean.Name != "sky-x-0" {
		t.Errorf("the machine has a service account, or one was looked after in the project: %+v", lean)
	}
}

func TestPlacementsOfSeveralMachinesAreConnected(t *testing.T) {
	var found struct {
		One, Two, Named []string
		Problem         struct{ Field, Want string }
	}
	askSource(t, &found, "apart", filepath.Join(t.TempDir(), "config.yaml"))
	for _, c := range []struct {
		got  []string
		want string
	}{{found.One, "azure nebius aws"}, {found.Two, "aws"}, {found.Named, "azure"}} {
		if got := strings.Join(c.got, " "); got != c.want {
			t.Errorf("placed on %q, want %q", got, c.want)
		}
	}
	if found.Problem.Field != "num_nodes" || !strings.Contains(found.Problem.Want, "azure.vpc_name") {
		t.Errorf("the problem is reported as %+v", found.Problem)
	}
}

// TestDiskSmallerThanTheImageIsABadRequest holds what is looked for to what the SkyPilot that is installed logs, and
// looks for itself.
func TestDiskSmallerThanTheImageIsABadRequest(t *testing.T) {
	const words = "Requested disk size cannot be smaller than the image size"
	var said struct {
		Logged  []string
		Handler string
	}
	askSource(t, &said, "refused", "invalid",
		"Invalid value for field 'resource.disks[0].initializeParams.diskSizeGb': "+
			"'10'. "+words+" (20 GB)")
	if !strings.Contains(said.Handler, words) {
		t.Errorf("SkyPilot does not know these words of GCP:\n%s", said.Handler)
	}
	err := failure.ToCloudError("launch", &client.FailedRequest{Type: "ResourcesUnavailableError",
		Message: "Failed to provision all possible launchable resources."}, said.Logged)
	if cloud.KindOf(err) != cloud.Infeasible || !strings.Contains(err.Error(), "(20 GB)") ||
		!strings.HasSuffix(err.Error(), "(request a larger disk_size)") {
		t.Errorf("%s: %v\nlogged: %q", cloud.KindOf(err), err, said.Logged)
	}
}
