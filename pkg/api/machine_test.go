package api_test

import (
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestSetStateRecordsWhenTheStateStarted(t *testing.T) {
	t0 := time.Unix(100, 0)
	m := api.NewMachine("c", 1, api.DefaultPool, "bcdfg", api.Placement{}, t0)
	m.SetState(api.MachineLaunching, "launching", t0.Add(1))
	m.SetState(api.MachineLaunching, "launching", t0.Add(2))
	if m.Since != t0.Add(1) || m.LaunchedAt != t0.Add(1) {
		t.Errorf("the same state again began anew: %+v", m)
	}
	m.SetState(api.MachineLaunching, "waiting for SSH", t0.Add(3))
	if m.Since != t0.Add(3) || m.LaunchedAt != t0.Add(1) {
		t.Errorf("another step: %+v", m)
	}
	m.SetState(api.MachineReady, "", t0.Add(4))
	m.SetState(api.MachineGone, "", t0.Add(5))
	if m.ReadyAt != t0.Add(4) || m.GoneAt != t0.Add(5) || m.State != api.MachineGone || m.Step != "" {
		t.Errorf("%+v", m)
	}
}
