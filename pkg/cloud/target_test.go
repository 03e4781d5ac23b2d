package cloud_test

import (
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

var mine = cloud.Owner{Installation: "here", Cluster: "c", ClusterUID: "uid"}

func machineOf(name, id, incarnation string, index int) cloud.Machine {
	return cloud.Machine{Owner: mine, Name: name, ID: id, Index: index, Incarnation: incarnation}
}

func TestTargetIsFoundOnlyIfItIsUnambiguous(t *testing.T) {
	real, other := machineOf("sky-c-1", "i-1", "one", 1), machineOf("sky-c-2", "i-2", "two", 2)
	copied, renamed, relabelled, unknown := real, real, real, real
	copied.Name, copied.ID = "backup", "i-9"
	renamed.Name = "old"
	relabelled.Index, relabelled.Incarnation = 2, "two"
	unknown.ID = ""
	twin, predecessor, theirs := real, real, real
	twin.ID = "i-9"
	predecessor.ID, predecessor.Incarnation = "i-0", "zero"
	theirs.Owner.Installation, theirs.ID = "another", "i-7"
	imposter := copied
	imposter.Name = real.Name
	known := cloud.TargetOf(real)
	named := known
	named.ID = ""
	for _, c := range []struct {
		what   string
		target cloud.Target
		listed []cloud.Machine
		want   string // the id, "nothing", or a part of the Conflict
	}{
		{"it is there", known, []cloud.Machine{other, real}, "i-1"},
		{"it is gone", known, []cloud.Machine{other}, "nothing"},
		{"it is gone and a copy has its name", known, []cloud.Machine{imposter}, "nothing"},
		{"there is also a copy", known, []cloud.Machine{copied, real}, "i-1"},
		{"it was renamed, and a copy has its name", known, []cloud.Machine{imposter, renamed}, "i-1"},
		{"it was relabelled", known, []cloud.Machine{relabelled}, "labelled as sky-c-2"},
		{"its cloud has not told its id", known, []cloud.Machine{unknown}, ""},
		{"it is of another installation by now", known, []cloud.Machine{{ID: "i-1", Name: real.Name}},
			"belongs to installation"},
		{"no id recorded", named, []cloud.Machine{other, real}, "i-1"},
		{"no id recorded, and it is gone", named, []cloud.Machine{other}, "nothing"},
		{"no id recorded, and there is also a copy", named, []cloud.Machine{real, copied}, "same labels"},
		{"no id recorded, and two of its name", named, []cloud.Machine{real, twin}, "same labels"},
		{"no id recorded, and an earlier one has its name", named, []cloud.Machine{predecessor}, "nothing"},
		{"no id recorded, and another's has its name", named, []cloud.Machine{theirs}, "nothing"},
	} {
		found, err := c.target.FindMachine(c.listed)
		got := "nothing"
		switch {
		case err != nil && cloud.KindOf(err) != cloud.Conflict:
			t.Errorf("%s: %v", c.what, err)
		case err != nil && strings.Contains(err.Error(), c.want) && strings.Contains(err.Error(), "not changed"):
			got = c.want
		case err != nil:
			got = err.Error()
		case found != nil:
			got = found.ID
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}
