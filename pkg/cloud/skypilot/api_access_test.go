package skypilot

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/task"
)

func TestAPIPortIsOpenedWherePossibleElseATunnelIsUsed(t *testing.T) {
	const office = "203.0.113.0/24"
	for _, c := range []struct {
		at, cidr, access string
		tunnel           bool
		opened           string // of the task, for the head
	}{
		{"aws", "", "", false, ""}, // its group is ours to open
		{"aws", office, "", false, ""},
		{"aws", "", "tunnel", true, ""},
		{"gcp", "", "", false, "6443"},
		{"gcp", "", "public", false, "6443"},
		{"gcp", office, "", true, ""}, // SkyPilot opens only be opened to everyone
		{"gcp", "", "tunnel", true, ""},
		{"azure", "", "", false, "6443"},
		{"azure", office, "", true, ""},
		{"do", "", "", false, "6443"},
		{"lambda", "", "", true, ""},
		{"nebius", "", "", true, ""},
		{"ibm", "", "", true, ""},
	} {
		spec := api.GroupSpec{APICIDR: c.cidr, APIAccess: c.access}
		got, err := filterPlacementsByAccess(spec, []api.Placement{{Cloud: c.at}})
		if err != nil || len(got) != 1 || got[0].Tunnel != c.tunnel {
			t.Errorf("%+v: %+v, %v", c, got, err)
			continue
		}
		head, worker := newLaunchRequest(got[0], spec), newLaunchRequest(got[0], spec)
		head.Role, worker.Role = api.RoleHead, api.RoleWorker
		if opened := strings.Join(task.PortsToOpen(head), ","); opened != c.opened ||
			len(task.PortsToOpen(worker)) > 0 {
			t.Errorf("%+v: opened are %q of the head, %q of a worker", c, opened, task.PortsToOpen(worker))
		}
	}
}

func TestPlacementsThatOpenNoPortsAreLeftOut(t *testing.T) {
	all := []api.Placement{{Cloud: "ibm", Region: "a"}, {Cloud: "gcp"}, {Cloud: "ibm", Region: "b"}, {Cloud: "lambda"}}
	for _, c := range []struct {
		spec api.GroupSpec
		left string
	}{
		{api.GroupSpec{}, "ibm gcp ibm lambda"},
		{api.GroupSpec{Ports: []string{"80"}}, "gcp lambda"},
		{api.GroupSpec{APIAccess: "public"}, "gcp"},
		{api.GroupSpec{APIAccess: "public", Ports: []string{"80"}}, "gcp"},
	} {
		got, err := filterPlacementsByAccess(c.spec, all)
		var left []string
		for _, p := range got {
			left = append(left, p.Cloud)
		}
		if err != nil || strings.Join(left, " ") != c.left {
			t.Errorf("%+v: %v, %v", c.spec, left, err)
		}
	}
	for _, c := range []struct {
		at, field, says string
		spec            api.GroupSpec
	}{
		{"ibm", "api_access", "auto or tunnel on ibm", api.GroupSpec{APIAccess: "public"}},
		{"gcp", "api_access", "only be opened to everyone",
			api.GroupSpec{APIAccess: "public", APICIDR: "203.0.113.0/24"}},
		{"ibm", "ports", "none on ibm", api.GroupSpec{Ports: []string{"80"}}},
		{"do", "cni", "canal on do", api.GroupSpec{CNI: "cilium"}},
	} {
		got, err := filterPlacementsByAccess(c.spec, []api.Placement{{Cloud: c.at}, {Cloud: c.at}})
		var bad *api.FieldError
		if len(got) > 0 || !errors.As(err, &bad) || bad.Field != c.field || !strings.Contains(bad.Want, c.says) ||
			strings.Contains(bad.Want, c.at+", "+c.at) {
			t.Errorf("%+v: %v, %v", c, got, err)
		}
	}
}

func TestPodNetworksThatStrangersReachAreRefused(t *testing.T) {
	all := []api.Placement{{Cloud: "do"}, {Cloud: "aws"}, {Cloud: "do"}}
	for _, c := range []struct{ cni, left string }{
		{"", "do aws do"}, {"canal", "do aws do"}, {"none", "do aws do"}, {"cilium", "aws"}, {"flannel", "aws"},
	} {
		got, err := filterPlacementsByAccess(api.GroupSpec{CNI: c.cni}, all)
		var left []string
		for _, p := range got {
			left = append(left, p.Cloud)
		}
		if err != nil || strings.Join(left, " ") != c.left {
			t.Errorf("%q: %v, %v", c.cni, left, err)
		}
	}
	_, err := filterPlacementsByAccess(api.GroupSpec{CNI: "calico"}, []api.Placement{{Cloud: "do"}, {Cloud: "do"}})
	var bad *api.FieldError
	if !errors.As(err, &bad) || bad.Field != "cni" || !strings.HasPrefix(bad.Want, "canal on do, where no port") {
		t.Errorf("%v", err)
	}
}

// TestOpenPortCloudsMatchSkyPilot holds the tables to the source of the SkyPilot that is installed.
func TestOpenPortCloudsMatchSkyPilot(t *testing.T) {
	var why map[string]string
	askSource(t, &why, "ports")
	for _, name := range CloudNames {
		reason, known := why[name]
		if !known {
			t.Errorf("SkyPilot does not know %s", name)
		}
		if slices.Contains(openPortClouds, name) != (reason == "") {
			t.Errorf("%s: in the table is %v, and SkyPilot says: %q", name, slices.Contains(openPortClouds, name),
				reason)
		}
	}
}

func TestMachinesThatStrangersReachAreMarked(t *testing.T) {
	all := make([]api.Placement, 0, len(CloudNames))
	for _, name := range CloudNames {
		all = append(all, api.Placement{Cloud: name})
	}
	marked, err := filterPlacementsByAccess(api.GroupSpec{}, all)
	if err != nil || len(marked) != len(all) {
		t.Fatalf("%+v, %v", marked, err)
	}
	var doesNothing map[string]bool
	askSource(t, &doesNothing, "exposed")
	for _, p := range marked {
		if p.Exposed != doesNothing[p.Cloud] {
			t.Errorf("%s: marked %v; SkyPilot opens ports there without doing anything: %v", p.Cloud, p.Exposed,
				doesNothing[p.Cloud])
		}
	}
	for _, name := range []string{"do", "paperspace"} {
		if !doesNothing[name] {
			t.Errorf("%s is not found to be open: the comparison proves nothing", name)
		}
	}
}
