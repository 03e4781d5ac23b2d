package api

import (
	"slices"
	"testing"
	"time"
)

func TestPoolAttemptsKeepTheLastFailureOfAPlacementForAnHour(t *testing.T) {
	start := time.Unix(0, 0)
	var s ClusterStatus
	fail := func(zone string, price float64, after time.Duration) {
		s.AddPoolAttempt("gpu", FailedPlacement{Placement: Placement{Zone: zone, PricePerMachine: price},
			At: start.Add(after)})
	}
	fail("a", 1, 0)
	fail("b", 1, 30*time.Minute)
	fail("a", 2, 50*time.Minute)
	zones := func(after time.Duration) []string {
		var zones []string
		for _, a := range s.RecentPoolAttempts("gpu", start.Add(after)) {
			zones = append(zones, a.Placement.Zone)
		}
		return zones
	}
	for after, want := range map[time.Duration][]string{
		51 * time.Minute: {"b", "a"}, 95 * time.Minute: {"a"}, 2 * time.Hour: nil,
	} {
		if got := zones(after); !slices.Equal(got, want) {
			t.Errorf("after %v: %v, want %v", after, got, want)
		}
	}
	fail("c", 1, 3*time.Hour)
	if got := s.FindPoolStatus("gpu").Attempts; len(got) != 1 {
		t.Errorf("old attempts stay: %+v", got)
	}
	if got := s.RecentPoolAttempts("cpu", start); got != nil {
		t.Errorf("another pool: %+v", got)
	}
}

func TestPlacementIsDescribedInASentence(t *testing.T) {
	for want, p := range map[string]Placement{
		"docker/local":                  {Cloud: "docker", Region: "local"},
		"m6i.large in aws/us-east-1":    {Cloud: "aws", Region: "us-east-1", InstanceType: "m6i.large"},
		"p4d in aws/us/a at full price": {Cloud: "aws", Region: "us", Zone: "a", InstanceType: "p4d", OnDemand: true},
	} {
		if got := p.Describe(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
