package gateway

import (
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestOnlyMachinesOfClustersAreTargets(t *testing.T) {
	name, index, cluster, ok := parseAuthority(formatAuthority("sky-my-dev-12", "0b1c-22"))
	if !ok || name != "sky-my-dev-12" || index != 12 || cluster != (api.Ref{Name: "my-dev", UID: "0b1c-22"}) {
		t.Errorf("%s %d %+v %v", name, index, cluster, ok)
	}
	for _, authority := range []string{"", ":22", "10.0.0.7:22", "[::1]:22", "localhost:22", "sky-dev-0:22",
		"sky-dev-0.:22", "sky-dev-0.uid", "sky-dev-0.uid:6443", "sky-dev-00.uid:22", "sky-dev.uid:22", "dev-0.uid:22",
		"sky-../x-0.uid:22", "sky-DEV-0.uid:22", "example.com:22"} {
		if name, _, _, ok := parseAuthority(authority); ok {
			t.Errorf("%q is taken for machine %s", authority, name)
		}
	}
}
