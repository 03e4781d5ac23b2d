package nodes

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/rke2/preflight"
)

func TestMachinesAreCheckedForWhatTheirClusterNeeds(t *testing.T) {
	own := filepath.Join(t.TempDir(), "own.tar")
	if err := os.WriteFile(own, make([]byte, 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &api.Cluster{}
	c.Status.Machines = []api.Machine{{Role: api.RoleHead, State: api.MachineReady}, {Index: 1, Role: api.RoleWorker}}
	c.Status.Artifacts = &api.Artifacts{Version: "v1.35.7+rke2r1", Source: "https://example.com/rke2",
		Images: []api.PinnedImages{{From: own}, {From: "https://example.com/other.tar"}}}
	worker := &c.Status.Machines[1]
	for cni, port := range map[string]preflight.Port{"": preflight.OverlayPort, "cilium": preflight.OverlayPort,
		"calico": preflight.StandardOverlayPort, "none": {}} {
		c.Spec.Network.CNI = cni
		if got := newRequirements(c, worker).Overlay; got != port {
			t.Errorf("the pod network of %q is at port %v", cni, got)
		}
	}
	c.Spec.Network.CNI, c.Status.Machines[0].Placement.Exposed = "", true
	got := newRequirements(c, worker)
	if got.Overlay != preflight.EncryptedOverlayPort || got.Release != "v1.35.7+rke2r1" ||
		got.SourceURL != "https://example.com/rke2" ||
		!slices.Equal(got.Registries, []string{"registry-1.docker.io"}) ||
		!slices.Equal(got.Archives, []preflight.Archive{{Bytes: 1000}, {}}) {
		t.Errorf("got %+v", got)
	}
	c.Status.Artifacts.Source = "/srv/rke2"
	c.Status.Artifacts.Images = []api.PinnedImages{{From: "/srv/rke2/rke2-images.linux-amd64.tar.zst", Arch: "amd64"}}
	got = newRequirements(c, worker)
	if got.SourceURL != "" || len(got.Registries) != 0 ||
		!slices.Equal(got.Archives, []preflight.Archive{{Arch: "amd64", OfRKE2: true}}) {
		t.Errorf("an air gap: got %+v", got)
	}
}
