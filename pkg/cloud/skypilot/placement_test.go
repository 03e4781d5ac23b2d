package skypilot_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/eventually"
)

func TestCheapestPlacementOfAllCloudsIsFirst(t *testing.T) {
	c := start(t).cloud(t)
	plan, err := c.RankPlacements(eventually.Context(t, 4*time.Minute), api.GroupSpec{CPUs: "2+", NumNodes: 3},
		api.Neighbors{})
	if err != nil {
		t.Fatal(err)
	}
	clouds := map[string]bool{}
	for i, p := range plan {
		clouds[p.Cloud] = true
		if i > 0 && p.PricePerMachine < plan[i-1].PricePerMachine {
			t.Errorf("%+v comes after %+v", p, plan[i-1])
		}
		if p.PriceTotal != 3*p.PricePerMachine || p.InstanceType == "" || p.Region == "" || p.CPUs < 2 {
			t.Errorf("%+v", p)
		}
	}
	if len(clouds) != 2 {
		t.Errorf("the plan has the clouds %v, want both", clouds)
	}
}

// The prices stand in the tests' catalogs (test/skypilot/catalogs).
func TestOptimizerRanksCloudsTypesAndZonesByPrice(t *testing.T) {
	c := start(t).cloud(t)
	for _, test := range []struct {
		name  string
		spec  api.GroupSpec
		first api.Placement // zone, region and type count if they are set
	}{
		{"of two clouds the one that is cheaper for two cores", api.GroupSpec{CPUs: "2+"},
			api.Placement{Cloud: "paperspace", InstanceType: "C4", PricePerMachine: 0.06}},
		{"and the other for four", api.GroupSpec{CPUs: "4+"},
			api.Placement{Cloud: "aws", InstanceType: "c6i.xlarge", Region: "us-east-1", PricePerMachine: 0.17}},
		{"of two types the cheaper one", api.GroupSpec{Cloud: "aws", CPUs: "2", Memory: "8"},
			api.Placement{Cloud: "aws", InstanceType: "m6i.large", PricePerMachine: 0.096}},
		{"a dearer type where memory asks for it", api.GroupSpec{CPUs: "2", Memory: "16"},
			api.Placement{Cloud: "aws", InstanceType: "r6i.large", PricePerMachine: 0.126}},
		{"the spot zone that is cheapest", api.GroupSpec{CPUs: "2+", Memory: "4+", UseSpot: true},
			api.Placement{Cloud: "aws", InstanceType: "c6i.large", Region: "us-east-1", Zone: "us-east-1a",
				PricePerMachine: 0.0306}},
		{"the zone that was asked for", api.GroupSpec{Cloud: "aws", CPUs: "2+", Region: "us-east-1",
			Zone: "us-east-1b", UseSpot: true},
			api.Placement{Cloud: "aws", Zone: "us-east-1b", PricePerMachine: 0.0323}},
		{"the region that was asked for", api.GroupSpec{Cloud: "aws", Region: "eu-central-1", CPUs: "2+"},
			api.Placement{Cloud: "aws", Region: "eu-central-1", PricePerMachine: 0.102}},
		{"the one cloud that has the GPU", api.GroupSpec{Accelerators: "A100-80GB:1"},
			api.Placement{Cloud: "paperspace", InstanceType: "A100-80G", PricePerMachine: 3.18}},
		{"eight of a GPU in one machine", api.GroupSpec{Accelerators: "A100:8"},
			api.Placement{Cloud: "aws", InstanceType: "p4d.24xlarge", Region: "us-east-1", PricePerMachine: 32.7726}},
		{"a GPU for the spot price", api.GroupSpec{Accelerators: "A10G:1", UseSpot: true, MaxHourlyCost: 0.46},
			api.Placement{Cloud: "aws", InstanceType: "g5.xlarge", Zone: "us-east-1a", PricePerMachine: 0.4527}},
	} {
		t.Run(test.name, func(t *testing.T) {
			plan, err := c.RankPlacements(eventually.Context(t, 4*time.Minute), test.spec, api.Neighbors{})
			if err != nil {
				t.Fatal(err)
			}
			got, want := plan[0], test.first
			if got.Cloud != want.Cloud || math.Abs(got.PricePerMachine-want.PricePerMachine) > 1e-6 ||
				want.InstanceType != "" && got.InstanceType != want.InstanceType ||
				want.Region != "" && got.Region != want.Region || want.Zone != "" && got.Zone != want.Zone {
				t.Errorf("first %+v, want %+v", got, want)
			}
			for _, p := range plan {
				if test.spec.MaxHourlyCost > 0 && p.PricePerMachine > test.spec.MaxHourlyCost {
					t.Errorf("%+v is above the cap", p)
				}
			}
		})
	}
}

func TestMachinesOfAPoolStayInTheRegionOfTheirCluster(t *testing.T) {
	c := start(t).cloud(t)
	beside := api.Neighbors{Machines: 2, MemoryGiB: 8}
	for _, test := range []struct {
		name    string
		machine api.MachineSpec
		types   string // by price, or the field of the error
	}{
		{"and larger types follow", api.MachineSpec{CPUs: "2+", Memory: "4+"},
			"c6i.large m6i.large c6i.xlarge"},
		{"only the type that was asked for", api.MachineSpec{CPUs: "2", Memory: "4"}, "c6i.large"},
		{"under the cap", api.MachineSpec{CPUs: "2+", Memory: "4+", MaxHourlyCost: 0.1}, "c6i.large m6i.large"},
		{"spot machines by zone", api.MachineSpec{CPUs: "2", Memory: "4", UseSpot: true},
			"c6i.large c6i.large"},
		{"with accelerators", api.MachineSpec{Accelerators: "A10G:1"}, "g5.xlarge"},
		{"which does not offer them", api.MachineSpec{Accelerators: "H100:1"}, "accelerators"},
	} {
		t.Run(test.name, func(t *testing.T) {
			spec := api.ClusterSpec{Cloud: "aws",
				Region: "us-east-1"}.PoolGroup(api.Pool{Replicas: 2, Machine: test.machine})
			plan, err := c.RankPlacements(eventually.Context(t, 4*time.Minute), spec, beside)
			var types []string
			for _, p := range plan {
				types = append(types, p.InstanceType)
				if p.Cloud != "aws" || p.Region != "us-east-1" {
					t.Errorf("%+v is elsewhere", p)
				}
			}
			var bad *api.FieldError
			if errors.As(err, &bad) {
				types = []string{bad.Field}
			}
			if got := strings.Join(types, " "); got != test.types {
				t.Errorf("%s, want %s: %v", got, test.types, err)
			}
		})
	}
}

func TestImpossibleRequestIsRejectedByField(t *testing.T) {
	c := start(t).cloud(t)
	for _, test := range []struct {
		name  string
		spec  api.GroupSpec
		field string
		want  string
	}{
		{"a cloud that does not exist", api.GroupSpec{Cloud: "nimbus"}, "cloud", "aws, paperspace"},
		{"a cloud without credentials", api.GroupSpec{Cloud: "gcp"}, "cloud",
			"gcp is not: its libraries are not installed: run skyd install-skypilot gcp"},
		{"a region of another cloud", api.GroupSpec{Cloud: "aws", Region: "us-central1"}, "region", "eu-central-1"},
		{"a zone that is not there", api.GroupSpec{Cloud: "aws", Region: "us-east-1", Zone: "us-east-1q"}, "zone",
			"us-east-1a"},
		{"an accelerator that nobody offers", api.GroupSpec{Accelerators: "H1000:1"}, "accelerators", "H100"},
		{"a cap under the cheapest offer", api.GroupSpec{Cloud: "aws", CPUs: "2+", MaxHourlyCost: 0.001},
			"max_hourly_cost", "0.0850"},
		{"spot machines where there are none", api.GroupSpec{Cloud: "paperspace", UseSpot: true}, "use_spot",
			"leave it out"},
		{"more memory than there is", api.GroupSpec{Memory: "60000+"}, "memory", "1152 GiB (p4d.24xlarge in aws)"},
		{"more cores than there are", api.GroupSpec{Cloud: "paperspace", CPUs: "99+"}, "cpus",
			"12 CPUs (A100-80G in paperspace)"},
		{"more accelerators than a machine has", api.GroupSpec{Accelerators: "A100:3"}, "accelerators", "8 of A100"},
		{"spot machines of a type that has none", api.GroupSpec{Accelerators: "A100:8", UseSpot: true}, "use_spot",
			"32.7726"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := c.ValidateSpec(eventually.Context(t, 4*time.Minute), test.spec)
			var bad *api.FieldError
			if !errors.As(err, &bad) || bad.Field != test.field || !strings.Contains(bad.Want, test.want) {
				t.Errorf("%v", err)
			} else {
				t.Log(bad)
			}
		})
	}
}
