package api

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestASpecOfAnOlderVersionKeepsItsStoredForm(t *testing.T) {
	const before = `{"manager":"k8","cloud":"docker","num_nodes":3,"provision":true}`
	var s GroupSpec
	if err := json.Unmarshal([]byte(before), &s); err != nil {
		t.Fatal(err)
	}
	if got, err := json.Marshal(s); err != nil || string(got) != before || s.RequiredLevel() != 1 {
		t.Errorf("got %s, %v, level %d", got, err, s.RequiredLevel())
	}
}

func TestValidateChecksReleases(t *testing.T) {
	good := GroupSpec{Provision: true, NumNodes: 1, KubernetesVersion: "v1.34.1+rke2r1",
		RKE2: RKE2Release{Source: "/kit", SHA256: strings.Repeat("a", 64)}}
	if err := good.Validate(); err != nil || good.RequiredLevel() != 2 {
		t.Errorf("%v, level %d", err, good.RequiredLevel())
	}
	for field, spec := range map[string]GroupSpec{
		"kubernetes_version": {KubernetesVersion: "v9.9.9+rke2r1"},
		"rke2.source":        {RKE2: RKE2Release{Source: "https://ann:secret@mirror"}},
		"rke2.sha256":        {RKE2: RKE2Release{SHA256: "abc"}},
	} {
		spec.Provision, spec.NumNodes = true, 1
		errs := FieldErrorsOf(spec.Validate())
		if len(errs) != 1 || errs[0].Field != field {
			t.Errorf("%s: %+v", field, errs)
		}
	}
}

func TestACreateIsResumedWithTheReleasesOfTheCluster(t *testing.T) {
	asked := GroupSpec{KubernetesVersion: "v1.34.1+rke2r1"}
	machines := []Machine{{Index: 0, State: MachineUp}}
	for name, tt := range map[string]struct {
		there   Cluster
		asked   GroupSpec
		version string
		differs bool
	}{
		"of before, with nothing there": {Cluster{}, asked, asked.KubernetesVersion, false},
		"of before, with the same": {
			Cluster{Status: ClusterStatus{Artifacts: &Artifacts{Version: asked.KubernetesVersion}, Machines: machines}},
			asked, asked.KubernetesVersion, false},
		"of before, with another": {
			Cluster{Status: ClusterStatus{Artifacts: &Artifacts{Version: "v1.33.1+rke2r1"}, Machines: machines}},
			asked, "v1.33.1+rke2r1", true},
		"another": {Cluster{Spec: NewClusterSpec(GroupSpec{KubernetesVersion: "v1.33.1+rke2r1"})}, asked,
			"v1.33.1+rke2r1", true},
		"nothing is said of it any more": {Cluster{Spec: NewClusterSpec(asked)}, GroupSpec{}, asked.KubernetesVersion,
			false},
	} {
		spec := tt.there.WithReleases(tt.asked)
		if diff := DiffSpec(spec, tt.asked); spec.KubernetesVersion != tt.version || (len(diff) > 0) != tt.differs {
			t.Errorf("%s: %s, %v", name, spec.KubernetesVersion, diff)
		}
	}
}
