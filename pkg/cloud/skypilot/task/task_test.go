package task

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

// update rewrites golden files.
var update = flag.Bool("update", false, "rewrite golden files")

func requestOf(p api.Placement, spec api.GroupSpec) cloud.LaunchRequest {
	return cloud.LaunchRequest{
		Owner: cloud.Owner{Installation: "5c3c8f4e", Cluster: "demo", ClusterUID: "0b7c1d2e"},
		Name:  "sky-demo-1", Index: 1, Incarnation: "bcdfg", Placement: p, Spec: spec,
		Labels: map[string]string{"team": "ml", "example.com/owner": "Ann.B", "skyctl-index": "9",
			"ray-cluster-name": "sky-other-0"},
	}
}

func TestTaskHasItsPlacementAndLabels(t *testing.T) {
	for _, test := range []struct {
		golden string
		p      api.Placement
		spec   api.GroupSpec
	}{
		{"aws", api.Placement{Cloud: "aws", Region: "us-east-1", InstanceType: "c6i.large"},
			api.GroupSpec{CPUs: "2+", Ports: []string{"8080"}, DiskSize: 200}},
		{"spot", api.Placement{Cloud: "aws", Region: "us-east-1", Zone: "us-east-1a", InstanceType: "p4d.24xlarge"},
			api.GroupSpec{Accelerators: "A100:8", UseSpot: true, MaxHourlyCost: 12.5, ImageID: "ami-1"}},
		{"gcp", api.Placement{Cloud: "gcp", Region: "us-central1", Zone: "us-central1-a",
			InstanceType: "n2-standard-4"}, api.GroupSpec{Ports: []string{"30000-30100"}}},
	} {
		t.Run(test.golden, func(t *testing.T) {
			got, err := Render(requestOf(test.p, test.spec), 0)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("testdata", "task-"+test.golden+".yaml"), got)
			if labels := ParseLabels(got); labels[cloud.LabelIncarnation] != "bcdfg" ||
				labels[cloud.LabelIndex] != "1" || labels["team"] != "ml" || labels["ray-cluster-name"] != "" {
				t.Errorf("labels read back: %v", labels)
			}
		})
	}
}

func TestLabelsThatACloudRejectsAreLeftOut(t *testing.T) {
	for _, test := range []struct {
		key, value string
		at         []string // the clouds that get it
	}{
		{"team", "ml", []string{"aws", "gcp"}},
		{"empty", "", []string{"aws", "gcp"}},
		{"example.com/Owner", "Ann", []string{"aws"}},
		{"team", "ML.Ops", []string{"aws"}},
		{"a" + strings.Repeat("b", 130), "long", nil},
		{"1team", "x", nil},
		{"yes", "x", nil}, // which YAML reads as a truth
		{"aws.amazon.com/x", "x", nil},
		{"skypilot-user", "x", nil},
		{"Name", "x", nil},
		{cloud.LabelInstallation, "somebody-elses", nil},
	} {
		for _, at := range []string{"aws", "gcp"} {
			if got := isAllowedLabel(at, test.key, test.value); got != slices.Contains(test.at, at) {
				t.Errorf("%s=%s on %s: %t", test.key, test.value, at, got)
			}
		}
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s", path, got)
	}
}

func TestConfigGivesMachinesNoCredentialsAndNoRights(t *testing.T) {
	for _, at := range []string{"aws", "gcp", "lambda"} {
		config := NewConfigOverride(requestOf(api.Placement{Cloud: at}, api.GroupSpec{}), NoProfile)
		for _, name := range []string{"aws", "gcp", "azure", "oci", "nebius"} {
			want := "NO_UPLOAD"
			if at == "aws" && name == "aws" {
				want = NoProfile
			}
			if got := config[name].(map[string]any)["remote_identity"]; got != want {
				t.Errorf("on %s the identity for %s is %v, want %s", at, name, got, want)
			}
		}
	}
	config := NewConfigOverride(requestOf(api.Placement{Cloud: "aws"}, api.GroupSpec{}), NoProfile)
	if got := config["aws"].(map[string]any)["security_group_name"]; got != "skyctl-0b7c1d2e" {
		t.Errorf("group %v", got)
	}
}

// notInResources are the fields of machines that Resources do not carry, with the place that handles them.
var notInResources = map[string]string{
	"api_cidr":   "skypilot.canOpenAPIPort chooses the clouds, and openClusterPorts the rule",
	"ssh_user":   "skypilot.filterCloudsBySSHUser chooses the clouds, and NewConfigOverride sets the user",
	"api_access": "skypilot.filterPlacementsByAccess chooses the clouds",
}

func TestEveryFieldOfMachinesReachesSkyPilot(t *testing.T) {
	for _, f := range api.Fields {
		spec := api.GroupSpec{}
		if err := f.Set(&spec, f.Example); err != nil {
			t.Fatal(err)
		}
		used := !reflect.DeepEqual(ResourcesFromSpec(spec), ResourcesFromSpec(api.GroupSpec{}))
		if f.Scope == api.MachineScope && used == (notInResources[f.Name] != "") {
			t.Errorf("%s: in the resources %v", f.Name, used)
		}
	}
}

func TestLoginUserIsSetOnAWSOnly(t *testing.T) {
	for at, want := range map[string]any{"aws": "admin", "gcp": nil} {
		config := NewConfigOverride(requestOf(api.Placement{Cloud: at}, api.GroupSpec{SSHUser: "admin"}), NoProfile)
		if got := config[at].(map[string]any)["ssh_user"]; got != want {
			t.Errorf("on %s: %v, want %v", at, got, want)
		}
	}
	config := NewConfigOverride(requestOf(api.Placement{Cloud: "aws"}, api.GroupSpec{}), NoProfile)
	if got, set := config["aws"].(map[string]any)["ssh_user"]; set {
		t.Errorf("without a wish: %v", got)
	}
}
