package plan_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestNodePressureIsOnlyReported(t *testing.T) {
	for pressure, says := range map[string]string{
		"DiskPressure (KubeletHasDiskPressure)":           "--disk_size",
		"MemoryPressure (KubeletHasInsufficientMemory)":   "--memory",
		"PIDPressure (KubeletHasInsufficientPID)":         "processes",
		"NetworkUnavailable (NoRouteCreated)":             "kubectl -n kube-system",
		"DiskPressure (a); MemoryPressure (b)":            "5% of the disk",
		"NetworkUnavailable (CalicoIsDown); PIDPressure ": "processes",
	} {
		s := newScene(2)
		n := s.w.Nodes[s.record(1).NodeName]
		n.Pressure = pressure
		s.w.Nodes[s.record(1).NodeName] = n
		d := check(t, s)
		if got := drift(d); actions(d) != "" || !strings.Contains(got, "sky-x-1 NodePressure: only reported") ||
			!strings.Contains(got, says) {
			t.Errorf("%s: actions %q, drift\n%s", pressure, actions(d), got)
		}
		if !strings.Contains(d.Drift[0].Message, pressure) {
			t.Errorf("message %q", d.Drift[0].Message)
		}
		for _, c := range d.Conditions {
			if c.Type == api.NodesReady && (c.Status != api.ConditionFalse || !strings.Contains(c.Message, pressure)) {
				t.Errorf("%s: %+v", pressure, c)
			}
			if c.Type == api.InSync && c.Status != api.ConditionFalse {
				t.Errorf("%s: %+v", pressure, c)
			}
		}
	}
}

// TestClusterClockIsNotUsed shifts the times that the cluster's own clock gives its Nodes by up to a day.
func TestClusterClockIsNotUsed(t *testing.T) {
	for _, i := range []int{0, 1} {
		for _, unit := range []string{"active", "activating", "failed", ""} {
			s := newScene(3)
			s.notReady(i, time.Minute)
			if s.unit(i, unit); unit == "" {
				s.unreachable(i)
			}
			want := check(t, s)
			for _, off := range []time.Duration{-24 * time.Hour, -time.Hour, time.Hour, 24 * time.Hour} {
				n := s.w.Nodes[s.record(i).NodeName]
				n.Since = s.w.At.Add(off)
				s.w.Nodes[s.record(i).NodeName] = n
				if got := check(t, s); !reflect.DeepEqual(got, want) {
					t.Errorf("machine %d, unit %q, clock off by %s: %s\n%s\nwant %s\n%s", i, unit, off, actions(got),
						drift(got), actions(want), drift(want))
				}
			}
		}
	}
}
