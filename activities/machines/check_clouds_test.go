package machines

import (
	"context"
	"testing"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/operation"
)

// checkedCloud is a cloud that only reports its state.
type checkedCloud struct {
	cloud.Cloud
	finding api.CheckFinding
	clouds  []api.CloudStatus
}

func (c checkedCloud) InspectProvider(context.Context) (api.CheckFinding, []api.CloudStatus) {
	return c.finding, c.clouds
}

func TestCheckInspectsEveryCloudThatReportsItsState(t *testing.T) {
	a := &Activities{Clouds: activities.Clouds{
		Named: map[string]cloud.Cloud{
			"docker": checkedCloud{finding: api.CheckFinding{Name: "Docker", Problem: "no engine"},
				clouds: []api.CloudStatus{{Name: "docker", Reason: "no engine"}}},
			"silent": struct{ cloud.Cloud }{},
		},
		Others: checkedCloud{finding: api.CheckFinding{Name: "SkyPilot"},
			clouds: []api.CloudStatus{{Name: "aws", Enabled: true}, {Name: "gcp", Reason: "no key"}}},
	}}
	r, err := a.Check(t.Context(), operation.CheckInput{})
	if err != nil || len(r.Providers) != 2 || r.Providers[0].Name != "Docker" || r.Providers[1].Name != "SkyPilot" ||
		r.Worker.Version == "" {
		t.Fatalf("%v: %+v", err, r)
	}
	if len(r.Clouds) != 3 || r.Clouds[0].Name != "docker" || !r.Clouds[1].Enabled || r.Clouds[2].Reason != "no key" {
		t.Errorf("%+v", r.Clouds)
	}
}

func TestCheckOfOneCloudAsksItsProviderAlone(t *testing.T) {
	a := &Activities{Clouds: activities.Clouds{
		Named: map[string]cloud.Cloud{"docker": checkedCloud{finding: api.CheckFinding{Name: "Docker"},
			clouds: []api.CloudStatus{{Name: "docker", Enabled: true}}}},
		Others: checkedCloud{finding: api.CheckFinding{Name: "SkyPilot"},
			clouds: []api.CloudStatus{{Name: "aws", Enabled: true}, {Name: "gcp", Enabled: true}}},
	}}
	for name, c := range map[string]struct {
		provider string
		enabled  bool
	}{"docker": {"Docker", true}, "gcp": {"SkyPilot", true}, "nimbus": {"SkyPilot", false}} {
		r, err := a.Check(t.Context(), operation.CheckInput{Cloud: name})
		if err != nil || len(r.Providers) != 1 || r.Providers[0].Name != c.provider || len(r.Clouds) != 1 ||
			r.Clouds[0].Name != name || r.Clouds[0].Enabled != c.enabled {
			t.Errorf("%s: %v: %+v", name, err, r)
		}
	}
}

func TestCheckWorksWithoutOtherClouds(t *testing.T) {
	r, err := (&Activities{}).Check(t.Context(), operation.CheckInput{})
	if err != nil || r.Providers == nil || r.Clouds == nil {
		t.Errorf("%v: %+v", err, r)
	}
}
