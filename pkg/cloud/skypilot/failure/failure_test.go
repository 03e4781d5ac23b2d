package failure

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/client"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/logtext"
)

// Recorded errors of a real server; TestCloudRejectionsKeepKindAndWords compares them with a running one.
func TestRecordedFailuresAreClassified(t *testing.T) {
	for name, want := range map[string]struct {
		kind  cloud.ErrorKind
		words string
	}{
		"capacity": {cloud.Capacity, "An error occurred (InsufficientInstanceCapacity)"},
		"quota":    {cloud.Quota, "An error occurred (VcpuLimitExceeded)"},
		"access":   {cloud.Access, "An error occurred (UnauthorizedOperation)"},
	} {
		t.Run(name, func(t *testing.T) {
			failed, log := recorded(t, name)
			kind, why := Classify(failed, log)
			if kind != want.kind || !strings.HasPrefix(why, want.words) || strings.Contains(why, "\x1b") {
				t.Errorf("%s: %s", kind, why)
			}
		})
	}
}

func recorded(t *testing.T, name string) (*client.FailedRequest, []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "testdata", "recorded", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var p struct{ Detail client.Result }
	if err := json.Unmarshal(data, &p); err != nil {
		t.Fatal(err)
	}
	failed, ok := p.Detail.DecodeInto(nil).(*client.FailedRequest)
	if !ok {
		t.Fatalf("%s is not a failed request", name)
	}
	stream, err := os.ReadFile(filepath.Join("..", "testdata", "recorded", name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	var log []string
	if err := logtext.ForEachLine(bytes.NewReader(stream), func(s string) { log = append(log, s) }); err != nil {
		t.Fatal(err)
	}
	return failed, log
}

// Error messages from the clouds' documentation, because no account is available to record them.
func TestDocumentedFailuresAreClassified(t *testing.T) {
	const none = "Failed to provision all possible launchable resources."
	for _, test := range []struct {
		typ, message, log string
		kind              cloud.ErrorKind
	}{
		{"ResourcesUnavailableError", none, "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS: The zone does not have " +
			"enough resources available to fulfill the request.", cloud.Capacity},
		{"ResourcesUnavailableError", none, "Quota 'CPUS' exceeded.  Limit: 24.0 in region us-central1.", cloud.Quota},
		{"ResourcesUnavailableError", none, "Code: SERVICE_DISABLED Compute Engine API has not been used in project",
			cloud.Access},
		{"ResourcesUnavailableError", none, "(SkuNotAvailable) The requested VM size is currently not available in " +
			"location", cloud.Capacity},
		{"ResourcesUnavailableError", none, "(QuotaExceeded) Operation could not be completed as it results in " +
			"exceeding approved Total Regional Cores quota", cloud.Quota},
		{"ResourcesUnavailableError", none, "(AuthorizationFailed) The client does not have authorization to " +
			"perform action", cloud.Access},
		{"ResourcesUnavailableError", none, "An error occurred (RequestLimitExceeded) when calling the RunInstances " +
			"operation", cloud.Transient},
		{"ResourcesUnavailableError", none, "Got return code 'invalid' in us-central1-a: \"Invalid value for field " +
			"'resource.disks[0].initializeParams.diskSizeGb': '10'. Requested disk size cannot be smaller than the " +
			"image size (20 GB)\"", cloud.Infeasible},
		{"ResourcesUnavailableError", none, "(OperationNotAllowed) The specified disk size 10 GB is smaller than the " +
			"size of the corresponding disk in the VM image: 30 GB. This is not allowed.", cloud.Infeasible},
		{"ResourcesUnavailableError", none, "An error occurred (InvalidBlockDeviceMapping) when calling the " +
			"RunInstances operation: Volume of size 8GB is smaller than  snapshot 'snap-1', expect size >= 20GB",
			cloud.Infeasible},
		{"ResourcesUnavailableError", none, "something that nobody has heard of", cloud.Capacity},
		{"ResourcesUnavailableError", "Catalog does not contain any instances satisfying the request: 1x AWS(cpus=3).",
			"", cloud.Infeasible},
		{"ResourcesUnavailableError", "Task requires gcp which is not enabled.", "", cloud.Access},
		{"NoCloudAccessError", "Cloud access is not set up.", "", cloud.Access},
		{"ResourcesMismatchError", "Requested resources do not match the existing cluster.", "", cloud.Infeasible},
		{"RequestInterruptedError", "Request was interrupted by an API server restart", "", cloud.Transient},
		{"ValueError", "Invalid region 'xx'", "", cloud.Infeasible},
		{"RuntimeError", "rsync is required", "", cloud.Infeasible},
		{"OSError", "no space left on device", "", cloud.Transient},
	} {
		kind, why := Classify(&client.FailedRequest{Type: test.typ, Message: test.message},
			[]string{test.log, "⨯ Failed to provision resources."})
		if kind != test.kind || why == "" {
			t.Errorf("%s %q %q: %s (%s), want %s", test.typ, test.message, test.log, kind, why, test.kind)
		}
	}
}
