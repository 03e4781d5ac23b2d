package skypilot

import (
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/bridge"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/client"
)

func TestCloudsAreAskedForAddressesNowAndThen(t *testing.T) {
	const every = 2 * time.Minute
	start := time.Now()
	record := func(status string, unasked bool) []clusterRecord {
		return []clusterRecord{{ClusterRecord: client.ClusterRecord{Name: "m", Status: status}, unasked: unasked}}
	}
	up := record(client.ClusterUp, false)
	is := bridge.Location{ID: "i-1", Address: "1.1.1.1", PrivateAddress: "10.0.0.1", Startable: true}
	var asked askedAddresses
	due := func(r []clusterRecord, l bridge.Location, after time.Duration) bool {
		return len(asked.findDue(r, []bridge.Location{l}, every, start.Add(after))) == 1
	}
	address := func(l bridge.Location) string {
		all := []bridge.Location{l}
		asked.apply(up, all)
		return all[0].Address + " " + all[0].PrivateAddress
	}
	if !due(up, is, 0) {
		t.Error("a machine is not asked about when it is first seen")
	}
	asked.remember("m", is, bridge.Addresses{Address: "2.2.2.2", PrivateAddress: "10.0.0.2"}, start)
	if got := address(is); got != "2.2.2.2 10.0.0.2" {
		t.Errorf("its address is %s", got)
	}
	if due(up, is, every-1) || !due(up, is, every) {
		t.Error("it is asked about too early, or too late")
	}
	asked.remember("m", is, bridge.Addresses{Error: "no answer"}, start)
	if got := address(is); got != "2.2.2.2 10.0.0.2" {
		t.Errorf("its address was forgotten by an error: %s", got)
	}
	for name, other := range map[string]bridge.Location{
		"SkyPilot has started it":   {ID: "i-1", Address: "3.3.3.3", PrivateAddress: "10.0.0.1", Startable: true},
		"it is another machine":     {ID: "i-2", Address: "1.1.1.1", PrivateAddress: "10.0.0.1", Startable: true},
		"SkyPilot has no addresses": {ID: "i-1", Startable: true},
	} {
		if got := address(other); got != other.Address+" "+other.PrivateAddress || !due(up, other, 1) {
			t.Errorf("%s: the old answer counts: %s", name, got)
		}
	}
	for name, left := range map[string][]clusterRecord{"stopped": record("STOPPED", false),
		"of a silent cloud": record(client.ClusterUp, true)} {
		asked.remember("m", is, bridge.Addresses{Address: "2.2.2.2", PrivateAddress: "10.0.0.2"}, start)
		if due(left, is, every) || address(is) != "1.1.1.1 10.0.0.1" {
			t.Errorf("%s: it is asked about, or its old answer is kept", name)
		}
	}
	if is.Startable = false; due(up, is, every) {
		t.Error("a machine that cannot be stopped is asked about")
	}
}
