package api_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestPoolIsParsedFromItsFlags(t *testing.T) {
	got, err := api.ParsePool("gpu", map[string][]string{
		"accelerators": {"A100:8"}, "use_spot": {"true"}, "replicas": {"2"}, "min_replicas": {"1"},
		"max_replicas": {"8"}, "labels": {"tier=train"}, "taints": {"a=b:NoSchedule"}, "spot_fallback": {"on-demand"},
		"max_unavailable": {"2"}, "drain_timeout": {"90s"}, "drain_force": {"true"}, "zone": {"us-east-1a"},
	})
	want := api.Pool{Name: "gpu", Replicas: 2, MinReplicas: 1, MaxReplicas: 8,
		Machine: api.MachineSpec{Accelerators: "A100:8", UseSpot: true, Zone: "us-east-1a"},
		Labels:  map[string]string{"tier": "train"}, Taints: []string{"a=b:NoSchedule"}, SpotFallback: "on_demand",
		MaxUnavailable: 2, DrainTimeout: api.Duration(90 * time.Second), DrainForce: true}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	if p, err := api.ParsePool("x", nil); err != nil || p.Replicas != 1 {
		t.Errorf("without flags: %+v, %v", p, err)
	}
}

func TestEveryFieldOfAPoolIsDeclared(t *testing.T) {
	declared := []string{"name", "machine"}
	for _, f := range api.PoolFields {
		declared = append(declared, f.Name)
	}
	full, err := json.Marshal(api.Pool{Name: "x", Replicas: 1, MinReplicas: 1, MaxReplicas: 1,
		Labels: map[string]string{
			"a": "b"}, Taints: []string{"a"}, SpotFallback: "x", MaxUnavailable: 1, DrainTimeout: 1, DrainForce: true,
		Machine: api.MachineSpec{CPUs: "1"}})
	if err != nil {
		t.Fatal(err)
	}
	var stored map[string]any
	if err := json.Unmarshal(full, &stored); err != nil {
		t.Fatal(err)
	}
	if n := reflect.TypeFor[api.Pool]().NumField(); n != len(declared) || n != len(stored) {
		t.Errorf("a pool has %d fields, %d are declared, %d are set here", n, len(declared), len(stored))
	}
	for name := range stored {
		if !slices.Contains(declared, name) {
			t.Errorf("%s is not declared", name)
		}
	}
	var ofMachines []string
	for _, f := range api.Fields {
		if f.IsOfMachines() {
			ofMachines = append(ofMachines, f.Name)
		}
	}
	if got := strings.Join(ofMachines, " "); got != "zone cpus memory disk_size accelerators use_spot max_hourly_cost "+
		"image_id ssh_user" || len(ofMachines) != reflect.TypeFor[api.MachineSpec]().NumField() {
		t.Errorf("fields of machines: %s", got)
	}
}

func TestBadPoolFlagsAreAllNamed(t *testing.T) {
	_, err := api.ParsePool("gpu", map[string][]string{"replicas": {"many"}, "min_replicas": {""}, "labels": {"nokey"},
		"drain_timeout": {"soon"}, "drain_force": {"maybe"}, "cpus": {""}})
	var named []string
	for _, f := range api.FieldErrorsOf(err) {
		named = append(named, f.Field)
		if f.Want == "" {
			t.Errorf("%s does not say what would work", f.Field)
		}
	}
	if got := strings.Join(named, " "); got != "cpus replicas min_replicas labels drain_timeout drain_force" {
		t.Errorf("named %s", got)
	}
}
