package api

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestServerSmallerThanRKE2NeedsIsRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		cpus, memory string
		fields       []string
	}{
		"left to the cloud":      {},
		"the minimum":            {cpus: "2", memory: "4"},
		"at least the minimum":   {cpus: "2+", memory: "4+"},
		"one CPU":                {cpus: "1", memory: "8", fields: []string{"cpus"}},
		"at least one CPU":       {cpus: "1+", fields: []string{"cpus"}},
		"too little memory":      {cpus: "4", memory: "3+", fields: []string{"memory"}},
		"too little of both":     {cpus: "1", memory: "2", fields: []string{"cpus", "memory"}},
		"one that is malformed":  {cpus: "many", memory: "2", fields: []string{"memory"}},
		"both that cannot be it": {cpus: "many", memory: "much"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, f := range FieldErrorsOf((GroupSpec{CPUs: tt.cpus, Memory: tt.memory}).CheckServerSize()) {
				got = append(got, f.Field)
				if !strings.Contains(f.Want, "1.35 CPUs and 2.1 GiB") {
					t.Errorf("it does not say what RKE2 needs: %s", f.Want)
				}
			}
			if !slices.Equal(got, tt.fields) {
				t.Errorf("it refuses %q, want %q", got, tt.fields)
			}
		})
	}
}

func TestSmallServerOfAnOlderVersionKeepsAllElse(t *testing.T) {
	old := NewCluster("old", "u", GroupSpec{Cloud: "docker", CPUs: "1", Memory: "2", NumNodes: 2, Provision: true}, nil,
		time.Now())
	old.SetDefaults()
	if err := old.Validate(); err != nil {
		t.Errorf("the cluster as it is: %v", err)
	}
	more := old.Spec.Clone()
	more.Pools[0].Replicas = 4
	if err := old.ChangeTo(more, map[string]string{"team": "nlp"}, time.Now()); err != nil {
		t.Errorf("another size of a pool: %v", err)
	}
	if err := old.CreatePool(Pool{Name: "tiny", Replicas: 1, Machine: MachineSpec{CPUs: "1", Memory: "1"}},
		time.Now()); err != nil {
		t.Errorf("another pool: %v", err)
	}
}

func TestPlacementsTooSmallForServersAreLeftOut(t *testing.T) {
	small, thin := Placement{Region: "small", CPUs: 1, MemoryGiB: 8}, Placement{Region: "thin", CPUs: 4,
		MemoryGiB: 3.75}
	fit, unknown := Placement{Region: "fit", CPUs: 2, MemoryGiB: 4}, Placement{Region: "unknown"}
	for name, tt := range map[string]struct {
		spec    GroupSpec
		offered []Placement
		want    []Placement
		refused []string // in a new cluster
	}{
		"some are too small": {offered: []Placement{small, fit, thin, unknown}, want: []Placement{fit, unknown}},
		"all are too small": {offered: []Placement{small, thin}, want: []Placement{small, thin},
			refused: []string{"memory"}},
		"one CPU only": {offered: []Placement{small}, want: []Placement{small}, refused: []string{"cpus"}},
		"an older spec": {spec: GroupSpec{CPUs: "1+"}, offered: []Placement{small, fit},
			want: []Placement{small, fit}},
		"nothing was offered": {},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tt.spec.PreferServerSized(tt.offered); !slices.Equal(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			var refused []string
			for _, f := range FieldErrorsOf(tt.spec.CheckServerPlacements(tt.offered)) {
				refused = append(refused, f.Field)
			}
			if !slices.Equal(refused, tt.refused) {
				t.Errorf("refused %q, want %q", refused, tt.refused)
			}
		})
	}
}

func TestSmallestWorkerHasRoomForRKE2(t *testing.T) {
	if o := OverheadOf(RoleWorker, ""); o.MilliCPUs >= 1000 || o.MemoryMiB >= 1024 {
		t.Errorf("a worker of 1 CPU and 1 GiB, which can be requested, has no room for %s", o)
	}
	if o := OverheadOf(RoleHead, ""); o.MilliCPUs >= 1000*MinServerCPUs || o.MemoryMiB >= 1024*MinServerMemoryGiB {
		t.Errorf("a server of the minimum has no room for %s", o)
	}
}

func TestOverheadFollowsTheNetworkPlugin(t *testing.T) {
	for cni, want := range map[string]string{
		"":      "1.35 CPUs and 2.1 GiB of the server, 0.5 CPUs and 0.1 GiB of each worker",
		"canal": "1.35 CPUs and 2.1 GiB of the server, 0.5 CPUs and 0.1 GiB of each worker",
		"none":  "1.1 CPUs and 2.1 GiB of the server, 0.25 CPUs and 0.1 GiB of each worker",
	} {
		if got := DescribeOverhead(cni, 2); got != want {
			t.Errorf("%q: %s", cni, got)
		}
	}
}
