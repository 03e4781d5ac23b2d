package manifest_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

// TestMergeOfAFile merges a file with what was applied before it and with what other commands changed since.
func TestMergeOfAFile(t *testing.T) {
	for name, c := range map[string]struct {
		last, file []string
		change     func(*api.ClusterSpec)
		want       string
	}{
		"a field that the file dropped gets its default": {
			last: []string{"pools: [{name: gpu, max_replicas: 8, machine: {cpus: 4+}}]"},
			file: []string{"pools: [{name: gpu}]"}, want: "gpu 1/0 cpus "},
		"a field that only another command set stays": {
			last:   []string{"pools: [{name: gpu, machine: {cpus: 4+}}]"},
			file:   []string{"pools: [{name: gpu, machine: {cpus: 8+}}]"},
			change: func(s *api.ClusterSpec) { s.Pools[0].MaxReplicas = 5 }, want: "gpu 1/5 cpus 8+"},
		"a field that both set is that of the file": {
			last: []string{"pools: [{name: gpu, replicas: 2}]"}, file: []string{"pools: [{name: gpu, replicas: 2}]"},
			change: func(s *api.ClusterSpec) { s.Pools[0].Replicas = 7 }, want: "gpu 2/0 cpus "},
		"replicas that the file never gave stay": {
			last: []string{"pools: [{name: gpu}]"}, file: []string{"pools: [{name: gpu}]"},
			change: func(s *api.ClusterSpec) { s.Pools[0].Replicas = 7 }, want: "gpu 7/0 cpus "},
		"replicas that the file dropped stay": {
			last: []string{"pools: [{name: gpu, replicas: 3}]"}, file: []string{"pools: [{name: gpu}]"},
			want: "gpu 3/0 cpus "},
		"replicas that the file does not give are within the bounds that it gives": {
			last: []string{"pools: [{name: gpu}]"},
			file: []string{"pools: [{name: gpu, min_replicas: 2}, {name: new, min_replicas: 3}]"},
			want: "gpu 2/0 cpus ; new 3/0 cpus "},
		"no replicas are not the default": {
			last: []string{"pools: [{name: gpu, replicas: 0}]"}, file: []string{"pools: [{name: gpu}]"},
			want: "gpu 0/0 cpus "},
		"a pool of another command stays, one that the file dropped goes": {
			last: []string{"pools: [{name: gpu}, {name: big}]"}, file: []string{"pools: [{name: gpu}]"},
			change: func(s *api.ClusterSpec) { s.Pools = append(s.Pools, api.Pool{Name: "other", Replicas: 4}) },
			want:   "gpu 1/0 cpus ; other 4/0 cpus "},
		"a pool that another command deleted comes back": {
			last: []string{"pools: [{name: gpu, replicas: 2}]"}, file: []string{"pools: [{name: gpu, replicas: 2}]"},
			change: func(s *api.ClusterSpec) { s.Pools = nil }, want: "gpu 2/0 cpus "},
	} {
		t.Run(name, func(t *testing.T) {
			before := parseSpec(t, c.last...)
			stored, err := before.NewCluster(now)
			if err != nil {
				t.Fatal(err)
			}
			stored.Metadata.LastApplied = before.LastApplied()
			if c.change != nil {
				c.change(&stored.Spec)
			}
			after := applyFile(t, stored, parseSpec(t, c.file...))
			var pools []string
			for _, p := range after.Spec.Pools {
				pools = append(pools, describePool(p))
			}
			if got := strings.Join(pools, "; "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if !after.Spec.Provision || after.Spec.ControlPlane.Replicas != 1 || after.Spec.Manager != "k8" {
				t.Errorf("%+v", after.Spec)
			}
		})
	}
}

func TestListsAndLabelsMergeByItem(t *testing.T) {
	before := parseOne(t, strings.Replace(header, "{name: dev}", "{name: dev, labels: {a: x, b: x}}", 1)+
		"spec: {pools: [{name: gpu, taints: ['a:NoSchedule', 'b:NoSchedule'], labels: {a: x, b: x}}]}")
	stored, err := before.NewCluster(now)
	if err != nil {
		t.Fatal(err)
	}
	stored.Metadata.LastApplied = before.LastApplied()
	stored.Metadata.Labels["other"] = "y"
	stored.Spec.Pools[0].Labels["other"] = "y"
	stored.Spec.Pools[0].Taints = append(stored.Spec.Pools[0].Taints, "other:NoExecute")
	after := applyFile(t, stored, parseOne(t, strings.Replace(header, "{name: dev}", "{name: dev, labels: {b: z}}", 1)+
		"spec: {pools: [{name: gpu, taints: ['b:NoSchedule', 'c:NoSchedule'], labels: {b: z}}]}"))
	labels := map[string]string{"b": "z", "other": "y"}
	p := after.Spec.Pools[0]
	if !maps.Equal(after.Metadata.Labels, labels) || !maps.Equal(p.Labels, labels) ||
		!slices.Equal(p.Taints, []string{"b:NoSchedule", "other:NoExecute", "c:NoSchedule"}) {
		t.Errorf("labels %v, pool %+v", after.Metadata.Labels, p)
	}
}

func TestSettingsThatAFileLeavesOutStay(t *testing.T) {
	stored, err := parseSpec(t, "kubernetes_version: v1.35.7+rke2r1", "gpu_stack: none",
		"pools: [{name: gpu, machine: {accelerators: A100}}]").NewCluster(now)
	if err != nil {
		t.Fatal(err)
	}
	stored.Metadata.LastApplied = `{"spec":{"kubernetes_version":"v1.35.7+rke2r1","gpu_stack":"none","of_later":[1]}}`
	after := applyFile(t, stored, parseSpec(t, "pools: [{name: gpu}]"))
	if after.Spec.KubernetesVersion != "v1.35.7+rke2r1" || after.Spec.GPUStack != api.GPUStackOperator {
		t.Errorf("%+v", after.Spec)
	}
}

func TestMergeRefusesDamagedRecords(t *testing.T) {
	stored := &api.Cluster{Metadata: api.Metadata{Name: "dev", LastApplied: `{"spec":`}}
	if _, _, err := parseSpec(t, "cloud: aws").MergeInto(stored); err == nil || !strings.Contains(err.Error(), "dev") {
		t.Errorf("%v", err)
	}
}

// TestATaintOfAFileReplacesOneWithItsKey: a Node has one taint with a key and an effect.
func TestATaintOfAFileReplacesOneWithItsKey(t *testing.T) {
	before := parseSpec(t, "pools: [{name: gpu, taints: ['a=1:NoSchedule', 'b:NoExecute']}]")
	stored, err := before.NewCluster(now)
	if err != nil {
		t.Fatal(err)
	}
	stored.Metadata.LastApplied = before.LastApplied()
	stored.Spec.Pools[0].Taints = []string{"a=2:NoSchedule", "b:NoExecute", "a=2:NoExecute"} // by another command
	after := applyFile(t, stored, parseSpec(t, "pools: [{name: gpu, taints: ['a=3:NoSchedule']}]"))
	if got := after.Spec.Pools[0].Taints; !slices.Equal(got, []string{"a=2:NoExecute", "a=3:NoSchedule"}) {
		t.Errorf("taints %q", got)
	}
}

// TestTheLastAcceleratorsTakeTheirFieldsAlong: a file that still gives them is refused, as it is for a new cluster.
func TestTheLastAcceleratorsTakeTheirFieldsAlong(t *testing.T) {
	before := parseSpec(t, "pools: [{name: gpu, machine: {accelerators: 'A100:1'}}]")
	stored, err := before.NewCluster(now)
	if err != nil {
		t.Fatal(err)
	}
	stored.Metadata.LastApplied = before.LastApplied()
	stored.Spec.GPUTaint = true // by another command
	after := applyFile(t, stored, parseSpec(t, "pools: [{name: gpu}]"))
	if after.Spec.GPUTaint || after.Spec.GPUStack != "" {
		t.Errorf("%+v", after.Spec)
	}
	_, _, err = parseSpec(t, "gpu_taint: true", "gpu_stack: operator", "pools: [{name: gpu}]").MergeInto(stored)
	if err == nil || !strings.Contains(err.Error(), "dev.yaml:5:14: spec.gpu_taint: \"true\", want only with accel") ||
		!strings.Contains(err.Error(), "dev.yaml:6:14: spec.gpu_stack") {
		t.Errorf("%v", err)
	}
}
