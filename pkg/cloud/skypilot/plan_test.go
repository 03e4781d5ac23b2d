package skypilot_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestTheCheapestPlaceOfAllCloudsComesFirst(t *testing.T) {
	c := start(t).cloud(t)
	plan, err := c.Plan(within(t, 4*time.Minute), api.ClusterSpec{CPUs: "2+", NumNodes: 3})
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

func TestAWishThatNobodyMeetsIsRefusedByField(t *testing.T) {
	c := start(t).cloud(t)
	for _, test := range []struct {
		name  string
		spec  api.ClusterSpec
		field string
		want  string
	}{
		{"a cloud that does not exist", api.ClusterSpec{Cloud: "nimbus"}, "cloud", "aws, paperspace"},
		{"a cloud without credentials", api.ClusterSpec{Cloud: "gcp"}, "cloud", "gcp is not"},
		{"a region of another cloud", api.ClusterSpec{Cloud: "aws", Region: "us-central1"}, "region", "eu-central-1"},
		{"a zone that is not there", api.ClusterSpec{Cloud: "aws", Region: "us-east-1", Zone: "us-east-1q"}, "zone", "us-east-1a"},
		{"an accelerator that nobody offers", api.ClusterSpec{Accelerators: "H1000:1"}, "accelerators", "H100"},
		{"a cap under the cheapest offer", api.ClusterSpec{Cloud: "aws", CPUs: "2+", MaxHourlyCost: 0.001}, "max_hourly_cost", "0.0850"},
		{"spot machines where there are none", api.ClusterSpec{Cloud: "paperspace", UseSpot: true}, "use_spot", "leave it out"},
		{"more memory than there is", api.ClusterSpec{Memory: "60000+"}, "memory", "cheapest on offer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := c.Validate(within(t, 4*time.Minute), test.spec)
			var bad *api.FieldError
			if !errors.As(err, &bad) || bad.Field != test.field || !strings.Contains(bad.Want, test.want) {
				t.Errorf("%v", err)
			} else {
				t.Log(bad)
			}
		})
	}
}
