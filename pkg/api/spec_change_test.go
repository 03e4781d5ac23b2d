package api_test

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// newPooledSpec is the spec of one server, two default workers and a pool gpu of three machines.
func newPooledSpec() api.ClusterSpec {
	s := api.NewClusterSpec(api.GroupSpec{Cloud: "aws", CPUs: "2+", NumNodes: 3, Provision: true})
	s.Pools = append(s.Pools, api.Pool{Name: "gpu", Replicas: 3, MinReplicas: 1, MaxReplicas: 8,
		Machine: api.MachineSpec{Accelerators: "A100:8", UseSpot: true}})
	s.GPUStack = api.GPUStackOperator
	s.SetDefaults()
	return s
}

func TestValidChangesOfASpec(t *testing.T) {
	for name, c := range map[string]struct {
		change                 func(*api.ClusterSpec) error
		machines, defaults, gp int
	}{
		"scaled as a whole":    {func(s *api.ClusterSpec) error { return s.ScaleTo(10) }, 10, 6, 3},
		"scaled to no workers": {func(s *api.ClusterSpec) error { return s.ScaleTo(4) }, 4, 0, 3},
		"a pool scaled":        {func(s *api.ClusterSpec) error { return s.ScalePool("gpu", 8) }, 11, 2, 8},
		"a pool at its bound":  {func(s *api.ClusterSpec) error { return s.ScalePool("gpu", 1) }, 4, 2, 1},
		"the largest cluster":  {func(s *api.ClusterSpec) error { return s.ScaleTo(250) }, 250, 246, 3},
		"default deleted":      {func(s *api.ClusterSpec) error { return s.RemovePool("default") }, 4, -1, 3},
		"a pool added": {func(s *api.ClusterSpec) error {
			return s.AddPool(api.Pool{Name: "cpu", Replicas: 1, Machine: api.MachineSpec{CPUs: "8+"},
				Labels: map[string]string{"tier": "web"}, Taints: []string{"dedicated=web:NoSchedule"}})
		}, 7, 2, 3},
	} {
		s := newPooledSpec()
		if err := s.Validate(); err != nil {
			t.Fatal(err)
		}
		if err := c.change(&s); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		replicas := func(pool string) int {
			if p := s.FindPool(pool); p != nil {
				return p.Replicas
			}
			return -1
		}
		if s.MachineCount() != c.machines || replicas("default") != c.defaults || replicas("gpu") != c.gp {
			t.Errorf("%s: %+v", name, s)
		}
		if err := s.Validate(); err != nil {
			t.Errorf("%s: the result is not valid: %v", name, err)
		}
	}
}

func TestInvalidChangesOfASpecNameFieldValueAndWhatWorks(t *testing.T) {
	scale := func(pool string, n int) func(*api.ClusterSpec) error {
		return func(s *api.ClusterSpec) error { return s.ScalePool(pool, n) }
	}
	to := func(n int) func(*api.ClusterSpec) error {
		return func(s *api.ClusterSpec) error { return s.ScaleTo(n) }
	}
	add := func(change func(*api.Pool)) func(*api.ClusterSpec) error {
		p := api.Pool{Name: "new", Replicas: 1, Machine: api.MachineSpec{CPUs: "4"}}
		change(&p)
		return func(s *api.ClusterSpec) error { return s.AddPool(p) }
	}
	for _, c := range []struct {
		change             func(*api.ClusterSpec) error
		field, value, want string
	}{
		{scale("gpu", -1), "replicas", "-1", "from 0"},
		{scale("gpu", 0), "replicas", "0", "at least 1, the min_replicas of pool gpu"},
		{scale("gpu", 9), "replicas", "9", "at most 8, the max_replicas of pool gpu"},
		{scale("none", 1), "pool", "none", "default, gpu"},
		{scale("default", 1000), "replicas", "1000", "at most 246"},
		{scale("default", math.MaxInt), "replicas", strconv.Itoa(math.MaxInt), "at most 250"},
		{to(math.MaxInt), "num_nodes", strconv.Itoa(math.MaxInt), "at most 250"},
		{add(func(p *api.Pool) { p.Replicas = math.MaxInt }), "replicas", strconv.Itoa(math.MaxInt), "at most 250"},
		{func(s *api.ClusterSpec) error {
			s.FindPool("default").MinReplicas = 2
			return s.ScaleTo(5)
		}, "num_nodes", "5", "it would have 1, and should have at least 2"},
		{to(3), "num_nodes", "3", "1 for the control plane, 3 in pool gpu"},
		{to(251), "num_nodes", "251", "at most 250"},
		{add(func(p *api.Pool) { p.Name = "gpu" }), "pool", "gpu", "a new name"},
		{add(func(p *api.Pool) { p.Name = "Web_1" }), "pool", "Web_1", "lower-case"},
		{add(func(p *api.Pool) { p.Name = strings.Repeat("a", 41) }), "pool", strings.Repeat("a", 41), "at most 40"},
		{add(func(p *api.Pool) { p.Replicas = 400 }), "replicas", "400", "at most 244"},
		{add(func(p *api.Pool) { p.Machine.Accelerators = "tpu-v4:8" }), "accelerators", "tpu-v4:8", "of NVIDIA"},
		{add(func(p *api.Pool) { p.Machine.CPUs = "x" }), "cpus", "x", "such as 4"},
		{add(func(p *api.Pool) { p.MaxReplicas, p.MinReplicas = 1, 2 }), "max_replicas", "1", "at least min_replicas"},
		{add(func(p *api.Pool) { p.SpotFallback = "on_demand" }), "spot_fallback", "on_demand", "--use_spot"},
		{add(func(p *api.Pool) { p.SpotFallback, p.Machine.UseSpot = "x", true }), "spot_fallback", "x", "on_demand"},
		{add(func(p *api.Pool) { p.Taints = []string{"a=b"} }), "taints", "a=b", "NoSchedule"},
		{add(func(p *api.Pool) { p.Taints = []string{"a:NoSchedule", "a=b:NoSchedule"} }), "taints",
			"a=b:NoSchedule", "each key once"},
		{add(func(p *api.Pool) { p.Taints = []string{"node.kubernetes.io/unreachable:NoExecute"} }), "taints",
			"node.kubernetes.io/unreachable:NoExecute", "belong to Kubernetes"},
		{add(func(p *api.Pool) { p.Labels = map[string]string{"kubernetes.io/hostname": "x"} }), "labels",
			"kubernetes.io/hostname=x", "belong to Kubernetes"},
		{add(func(p *api.Pool) { p.Labels = map[string]string{"node-role.kubernetes.io/worker": ""} }), "labels",
			"node-role.kubernetes.io/worker=", "belong to Kubernetes"},
		{add(func(p *api.Pool) { p.Labels = map[string]string{api.NodeLabelPool: "x"} }), "labels",
			api.NodeLabelPool + "=x", "belong to skyctl"},
	} {
		s := newPooledSpec()
		err := c.change(&s)
		var one *api.FieldError
		if !errors.As(err, &one) || len(api.FieldErrorsOf(err)) != 1 {
			t.Errorf("%s %q: %v, want one *FieldError", c.field, c.value, err)
			continue
		}
		if one.Field != c.field || one.Value != c.value || !strings.Contains(one.Want, c.want) {
			t.Errorf("got %+v; want %s %q: %s", one, c.field, c.value, c.want)
		}
	}
}

func TestDurationsAreWrittenAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string]string{"15m": "15m", "1h": "1h", "90s": "1m30s", "1h30m0s": "1h30m",
		"45s": "45s"} {
		d, err := api.ParseDuration(text)
		if err != nil || d.String() != want {
			t.Errorf("%s: %s, %v; want %s", text, d, err, want)
		}
	}
	for _, text := range []string{"", "0s", "-1m", "5", "x"} {
		if d, err := api.ParseDuration(text); err == nil {
			t.Errorf("%q is %s", text, d)
		}
	}
}

func TestSameCreateFitsAClusterThatGotAPoolWithAccelerators(t *testing.T) {
	request := api.GroupSpec{Cloud: "aws", CPUs: "4", NumNodes: 3, Provision: true}
	c := api.NewCluster("a", "u", request, nil, time.Now())
	if err := c.CreatePool(api.Pool{Name: "gpu", Replicas: 1, Machine: api.MachineSpec{Accelerators: "A100:8"}},
		time.Now()); err != nil {
		t.Fatal(err)
	}
	if c.Spec.GPUStack != api.GPUStackOperator {
		t.Errorf("%+v", c.Spec)
	}
	if diff := api.DiffSpec(c.Spec.CreateRequest(), request); len(diff) > 0 {
		t.Errorf("the same create is refused: %v", diff)
	}
	if err := c.Spec.CreateRequest().Validate(); err != nil {
		t.Errorf("the create that describe shows is refused: %v", err)
	}
}
