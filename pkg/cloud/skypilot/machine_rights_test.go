package skypilot

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/client"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/failure"
	"github.com/sky-shift/skyctl/test/needs"
)

// ensureVenv returns a virtual environment with a file's pinned packages.
func ensureVenv(requirements string) (string, error) {
	cmd := exec.Command("bash", "../../../test/skypilot/venv.sh", requirements)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", requirements, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// GCP's API refuses a machine whose disk is too small with tooSmall.
const (
	tooSmall      = "Requested disk size cannot be smaller than the image size"
	tooSmallWhole = "Invalid value for field 'resource.disks[0].initializeParams.diskSizeGb': '10'. " + tooSmall +
		" (20 GB)"
)

// sourceAnswers are the answers of testdata/rights.py in the tests' SkyPilot, together with Azure's own models. It runs
// once, because importing SkyPilot takes most of its time.
var sourceAnswers = sync.OnceValues(func() (map[string]json.RawMessage, error) {
	azure, err := ensureVenv("testdata/azure.txt")
	if err != nil {
		return nil, err
	}
	models, err := filepath.Glob(filepath.Join(azure, "lib", "python*", "site-packages"))
	if err != nil || len(models) != 1 {
		return nil, fmt.Errorf("azure's models: %v, %w", models, err)
	}
	path := []string{models[0]}
	for _, dir := range []string{"localserver/python", "bridge/python"} {
		full, err := filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		path = append(path, full)
	}
	environment, err := ensureVenv("../../../test/skypilot/requirements.txt")
	if err != nil {
		return nil, err
	}
	home, err := os.MkdirTemp("", "skyctl-rights-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(home)
	cmd := exec.Command(filepath.Join(environment, "bin", "python"), "testdata/rights.py", "invalid", tooSmallWhole)
	cmd.Env = append(os.Environ(), "HOME="+home, "PYTHONPATH="+strings.Join(path, string(os.PathListSeparator)),
		"PYTHONDONTWRITEBYTECODE=1", "SKYPILOT_DISABLE_USAGE_COLLECTION=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	var answers map[string]json.RawMessage
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &answers); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	for question, answer := range answers {
		if string(answer) == "null" {
			return nil, fmt.Errorf("%s has no answer:\n%s", question, out)
		}
	}
	return answers, nil
})

// askSource reads an answer of testdata/rights.py.
func askSource(t *testing.T, answer any, question string) {
	t.Helper()
	needs.SkyPilot(t)
	answers, err := sourceAnswers()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(answers[question], answer); err != nil {
		t.Fatalf("%s: %v\n%s", question, err, answers[question])
	}
}

func TestPluginCreatesAzureMachinesWithoutIdentity(t *testing.T) {
	type asked struct{ Deployed, Identities, Written []string }
	var plain, lean asked
	askSource(t, &plain, "azure plain")
	if !slices.Contains(plain.Deployed, "Microsoft.Authorization/roleAssignments") || len(plain.Identities) != 1 {
		t.Errorf("without the plugin there would be no rights to take away: %+v", plain)
	}
	askSource(t, &lean, "azure lean")
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
	askSource(t, &plain, "gcp plain")
	if len(plain.Identities) != 1 || !strings.Contains(plain.Identities[0], "auth/cloud-platform") ||
		plain.IAMCalls == 0 {
		t.Errorf("without the plugin there would be no rights to take away: %+v", plain)
	}
	askSource(t, &lean, "gcp lean")
	if len(lean.Identities) > 0 || lean.IAMCalls > 0 || lean.Name != "sky-x-0" {
		t.Errorf("the machine has a service account, or one was looked after in the project: %+v", lean)
	}
}

func TestPlacementsOfSeveralMachinesAreConnected(t *testing.T) {
	var found struct {
		One, Two, Named []string
		Problem         struct{ Field, Want string }
	}
	askSource(t, &found, "apart")
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
	var said struct {
		Logged  []string
		Handler string
	}
	askSource(t, &said, "refused")
	if !strings.Contains(said.Handler, tooSmall) {
		t.Errorf("SkyPilot does not know these words of GCP:\n%s", said.Handler)
	}
	err := failure.ToCloudError("launch", &client.FailedRequest{Type: "ResourcesUnavailableError",
		Message: "Failed to provision all possible launchable resources."}, said.Logged)
	if cloud.KindOf(err) != cloud.Infeasible || !strings.Contains(err.Error(), "(20 GB)") ||
		!strings.HasSuffix(err.Error(), "(request a larger disk_size)") {
		t.Errorf("%s: %v\nlogged: %q", cloud.KindOf(err), err, said.Logged)
	}
}
