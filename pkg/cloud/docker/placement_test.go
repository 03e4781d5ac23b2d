package docker

import (
	"errors"
	"slices"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

// big is a machine that is large enough for all requests below.
var big = engineCapacity{cpus: 8, memoryGiB: 31.4, freeDiskGiB: 240.5}

func TestPlacementHasRequestedOrDefaultSizes(t *testing.T) {
	small := engineCapacity{cpus: 1, memoryGiB: 7.7, freeDiskGiB: 20}
	for name, tt := range map[string]struct {
		spec               api.GroupSpec
		has                engineCapacity
		cpus, memory, disk float64
	}{
		"defaults":                {api.GroupSpec{NumNodes: 3}, big, 2, 4, 80},
		"num_nodes left out":      {api.GroupSpec{}, big, 2, 4, 240},
		"defaults that just fit":  {api.GroupSpec{NumNodes: 3}, engineCapacity{cpus: 2, memoryGiB: 12}, 2, 4, 0},
		"defaults on a small one": {api.GroupSpec{NumNodes: 3}, small, 1, 2, 6},
		"defaults at the floor":   {api.GroupSpec{NumNodes: 7}, small, 1, 1, 2},
		"exactly": {api.GroupSpec{NumNodes: 2, CPUs: "4", Memory: "8", DiskSize: 100}, big, 4, 8,
			100},
		"at least": {api.GroupSpec{NumNodes: 2, CPUs: "4+", Memory: "8+"}, big, 4, 8, 120},
		"all there is": {api.GroupSpec{NumNodes: 1, CPUs: "8", Memory: "31", DiskSize: 240}, big, 8, 31,
			240},
		"region and ports are taken": {api.GroupSpec{NumNodes: 1, Region: "local", Ports: []string{"8080"}}, big, 2,
			4, 240},
		"disk that can't be known": {api.GroupSpec{NumNodes: 1, DiskSize: 999},
			engineCapacity{cpus: 2, memoryGiB: 8}, 2, 4, 999},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := choosePlacement(tt.spec, api.Neighbors{}, tt.has)
			if err != nil {
				t.Fatal(err)
			}
			want := api.Placement{Cloud: "docker", Region: "local", CPUs: tt.cpus, MemoryGiB: tt.memory,
				DiskGiB: tt.disk}
			if got != want {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestSpecBeyondTheComputerIsRejectedByField(t *testing.T) {
	for name, tt := range map[string]struct {
		spec                api.GroupSpec
		field, value, words string
	}{
		"cpus": {api.GroupSpec{NumNodes: 1, CPUs: "9+"}, "cpus", "9+",
			`cpus "9+": at most 8 on cloud docker: this computer has no more`},
		"malformed": {api.GroupSpec{NumNodes: 1, CPUs: "abc"}, "cpus", "abc", ""},
		"memory":    {api.GroupSpec{NumNodes: 1, Memory: "32"}, "memory", "32", ""},
		"memory in all": {api.GroupSpec{NumNodes: 3, Memory: "11"}, "memory", "11",
			`memory "11": at most 10 on cloud docker: 3 nodes share the 31.4 GiB that this computer has`},
		"disk in all": {api.GroupSpec{NumNodes: 3, DiskSize: 81}, "disk_size", "81",
			`disk_size "81": at most 80 on cloud docker: ` +
				`3 nodes share the 240.5 GiB that are free where Docker keeps its data, less the 5% of the ` +
				`disk below which the kubelet evicts pods`},
		"nodes": {api.GroupSpec{NumNodes: 32}, "num_nodes", "32",
			`num_nodes "32": at most 31 on cloud docker: each node needs 1 GiB of the 31.4 GiB that this computer has`},
		"region":       {api.GroupSpec{NumNodes: 1, Region: "us-east-1"}, "region", "us-east-1", ""},
		"accelerators": {api.GroupSpec{NumNodes: 1, Accelerators: "A100:8"}, "accelerators", "A100:8", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := choosePlacement(tt.spec, api.Neighbors{}, big)
			var field *api.FieldError
			if !errors.As(err, &field) {
				t.Fatalf("got %v, want a field error", err)
			}
			if field.Field != tt.field || field.Value != tt.value || field.Want == "" {
				t.Errorf("got %+v", field)
			}
			if tt.words != "" && err.Error() != tt.words {
				t.Errorf("got  %s\nwant %s", err, tt.words)
			}
		})
	}
}

func TestAllProblemsAreReportedTogether(t *testing.T) {
	_, err := choosePlacement(api.GroupSpec{NumNodes: 1, CPUs: "64", Memory: "512", Region: "moon",
		Accelerators: "A100"}, api.Neighbors{}, big)
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != 4 {
		t.Fatalf("got %v, want four errors", err)
	}
}

func TestEveryFieldOfMachinesIsUsedOrRefused(t *testing.T) {
	for _, f := range api.Fields {
		used, refused := slices.Contains(usedFields, f.Name), refusedFields[f.Name] != ""
		if (f.Scope == api.MachineScope) != (used != refused) {
			t.Errorf("%s: used %v, refused %v", f.Name, used, refused)
		}
		if !refused {
			continue
		}
		spec := api.GroupSpec{NumNodes: 1}
		if err := f.Set(&spec, f.Example); err != nil {
			t.Fatal(err)
		}
		_, err := choosePlacement(spec, api.Neighbors{}, big)
		if all := api.FieldErrorsOf(err); len(all) != 1 || all[0].Field != f.Name {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
}

func TestHostsThatJoinAClusterGetWhatItsOthersLeave(t *testing.T) {
	small := engineCapacity{cpus: 2, memoryGiB: 15.5}
	for name, tt := range map[string]struct {
		spec   api.GroupSpec
		beside api.Neighbors
		memory float64
		words  string
	}{
		"a share of the rest": {api.GroupSpec{NumNodes: 2}, api.Neighbors{Machines: 2, MemoryGiB: 8}, 3, ""},
		"as the others of its pool": {api.GroupSpec{NumNodes: 2},
			api.Neighbors{Machines: 2, MemoryGiB: 7, InPool: 1, PoolMemoryGiB: 3.5}, 3.5, ""},
		"less than the others of its pool": {api.GroupSpec{NumNodes: 2},
			api.Neighbors{Machines: 3, MemoryGiB: 12, InPool: 2, PoolMemoryGiB: 4}, 1.25, ""},
		"a share with others that have no size yet": {api.GroupSpec{NumNodes: 1},
			api.Neighbors{Machines: 4, MemoryGiB: 8, Unsized: 2}, 2, ""},
		"exactly": {api.GroupSpec{NumNodes: 1, Memory: "7"}, api.Neighbors{Machines: 1, MemoryGiB: 8}, 7, ""},
		"too many": {api.GroupSpec{NumNodes: 4},
			api.Neighbors{Machines: 3, MemoryGiB: 12, InPool: 2, PoolMemoryGiB: 4},
			0, `replicas "6": at most 5 on cloud docker: each machine needs 1 GiB, and the cluster's other machines ` +
				`leave 3.5 of the 15.5 GiB that this computer has`},
		"too many of a size": {api.GroupSpec{NumNodes: 3, Memory: "4+"}, api.Neighbors{Machines: 1, MemoryGiB: 4}, 0,
			`replicas "3": at most 2 on cloud docker: each machine needs 4 GiB, and the cluster's other machines ` +
				`leave 11.5 of the 15.5 GiB that this computer has`},
		"too large": {api.GroupSpec{NumNodes: 1, Memory: "12"}, api.Neighbors{Machines: 1, MemoryGiB: 4}, 0,
			`memory "12": at most 11 on cloud docker: the cluster's other machines leave 11.5 of the 15.5 GiB that ` +
				`this computer has`},
		"none at all": {api.GroupSpec{NumNodes: 1}, api.Neighbors{Machines: 4, MemoryGiB: 16, InPool: 3}, 0,
			`replicas "4": at most 3 on cloud docker: each machine needs 1 GiB, and the cluster's other machines ` +
				`leave 0.0 of the 15.5 GiB that this computer has`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := choosePlacement(tt.spec, tt.beside, small)
			switch {
			case tt.words == "" && (err != nil || got.MemoryGiB != tt.memory):
				t.Errorf("got %g GiB, %v; want %g", got.MemoryGiB, err, tt.memory)
			case tt.words != "" && (err == nil || err.Error() != tt.words):
				t.Errorf("got  %v\nwant %s", err, tt.words)
			}
		})
	}
}
