package api_test

import (
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestOutdatedMachinesAreThoseOfAnotherSpec(t *testing.T) {
	spec := func(change func(*api.MachineSpec)) *api.MachineSpec {
		s := api.MachineSpec{CPUs: "2+"}
		change(&s)
		return &s
	}
	for name, tt := range map[string]struct {
		index int
		was   *api.MachineSpec
		want  string
	}{
		"the same":               {1, spec(func(*api.MachineSpec) {}), ""},
		"a record of before":     {1, nil, ""},
		"other CPUs":             {1, spec(func(s *api.MachineSpec) { s.CPUs = "4+" }), "cpus is 4+, should be 2+"},
		"CPUs that were not set": {1, spec(func(s *api.MachineSpec) { s.CPUs = "" }), "cpus is unset, should be 2+"},
		"two fields": {1, spec(func(s *api.MachineSpec) { s.CPUs, s.UseSpot = "4+", true }),
			"cpus is 4+, should be 2+; use_spot is true, should be unset"},
		"a limit of the price":   {1, spec(func(s *api.MachineSpec) { s.MaxHourlyCost = 3 }), ""},
		"a server":               {0, spec(func(s *api.MachineSpec) { s.CPUs = "4+" }), ""},
		"of a pool that is gone": {3, spec(func(s *api.MachineSpec) { s.CPUs = "4+" }), ""},
	} {
		c := changeable()
		m := &c.Status.Machines[tt.index]
		m.Spec = tt.was
		if tt.index == 0 {
			m.Role = api.RoleHead
		}
		if tt.index == 3 {
			m.Pool = "gone"
		}
		if got := c.Spec.DescribeOutdated(*m); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestSpellingsOfAMachineSpecAreTheSameMachines(t *testing.T) {
	c := changeable()
	for _, tt := range []struct {
		a, b api.MachineSpec
		want bool
	}{
		{api.MachineSpec{Accelerators: "A100"}, api.MachineSpec{Accelerators: "A100:1"}, true},
		{api.MachineSpec{Accelerators: "A100:2"}, api.MachineSpec{Accelerators: "A100:1"}, false},
		{api.MachineSpec{MaxHourlyCost: 1}, api.MachineSpec{MaxHourlyCost: 2}, true},
		{api.MachineSpec{UseSpot: true}, api.MachineSpec{}, false},
	} {
		if got := c.Spec.IsSameMachineSpec(tt.a, tt.b); got != tt.want {
			t.Errorf("%+v and %+v: %v", tt.a, tt.b, got)
		}
	}
}

func TestSuccessorHasTheSpecOfItsPlacement(t *testing.T) {
	c := changeable()
	m := c.Status.Machines[1]
	m.Spec = &api.MachineSpec{CPUs: "2+", MaxHourlyCost: 1}
	c.Spec.Pools[0].Machine.MaxHourlyCost = 5
	if got := c.Spec.SpecOfSuccessor(m); got.MaxHourlyCost != 5 {
		t.Errorf("the same machines, and it keeps the earlier limit: %+v", got)
	}
	c.Spec.Pools[0].Machine.CPUs = "8+"
	if got := c.Spec.SpecOfSuccessor(m); got.CPUs != "2+" || got.MaxHourlyCost != 1 {
		t.Errorf("its placement is for 2 CPUs: %+v", got)
	}
}

func TestReservedMachineRecordsWhatIsWanted(t *testing.T) {
	c := changeable()
	c.Spec.Pools[0].Labels = map[string]string{"tier": "low"}
	m := api.NewMachine("dev", 4, "default", "bbbbbb", api.Placement{}, c.Metadata.CreatedAt)
	c.SetWanted(&m, nil)
	if m.Spec.CPUs != "2+" || m.Node.Labels["tier"] != "low" {
		t.Errorf("%+v, %+v", m.Spec, m.Node)
	}
	c.SetWanted(&m, &api.MachineSpec{CPUs: "4+"})
	if m.Spec.CPUs != "4+" || c.Spec.DescribeOutdated(m) == "" {
		t.Errorf("%+v", m.Spec)
	}
	c.Spec.Pools[0].Labels["tier"] = "high"
	if m.Node.Labels["tier"] != "low" {
		t.Error("the record changes with the pool")
	}
}
