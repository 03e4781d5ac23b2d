package api_test

import (
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

// newHeir returns a cluster that was restored from a snapshot of donor u-9, which is deleted.
func newHeir() *api.Cluster {
	heir := &api.Cluster{Metadata: api.Metadata{Name: "heir", UID: "u-2"}}
	heir.RecordAuthority(api.RestoreRequest{SnapshotUID: "u-9"})
	heir.Status.Restored = &api.RestoreResult{SnapshotUID: "u-9", OtherCluster: true}
	return heir
}

func TestRestoreFromOwnSnapshotKeepsTheAuthority(t *testing.T) {
	donors, third := api.Snapshot{Name: "last", Cluster: "donor", ClusterUID: "u-9"}, api.Cluster{}
	third.Metadata = api.Metadata{Name: "third", UID: "u-3"}
	recorded, ofBefore := newHeir(), newHeir()
	ofBefore.Status.AuthorityUID = ""
	for name, heir := range map[string]*api.Cluster{"recorded": recorded, "by an earlier version": ofBefore} {
		for _, own := range []api.RestoreRequest{{SnapshotUID: "u-2"}, {SnapshotUID: "u-2", AuthorityUID: "u-9"}} {
			heir.RecordAuthority(own)
			heir.Status.Restored = &api.RestoreResult{SnapshotUID: "u-2"}
			twin := api.FindTwin([]api.Cluster{third, *heir}, &third, donors)
			if heir.Authority() != "u-9" || twin == nil || twin.Metadata.Name != "heir" {
				t.Errorf("%s: certificates of %s, twin %+v", name, heir.Authority(), twin)
			}
		}
	}
	recorded.RecordAuthority(api.RestoreRequest{SnapshotUID: "u-2", AuthorityUID: "u-2"})
	if recorded.Authority() != "u-2" {
		t.Errorf("with its own certificates again: %s", recorded.Authority())
	}
}

func TestSnapshotOfAnHeirHasTheAuthorityOfItsDonor(t *testing.T) {
	s := api.Snapshot{Name: "heirs", Cluster: "heir", ClusterUID: "u-2", AuthorityUID: newHeir().Authority()}
	named := func(name, uid, authority string) api.Cluster {
		c := api.Cluster{Metadata: api.Metadata{Name: name, UID: uid}}
		c.Status.AuthorityUID = authority
		return c
	}
	c := named("third", "u-3", "")
	getting := named("getting", "u-5", "")
	getting.Status.Restore = &api.RestoreRequest{SnapshotUID: "u-6", AuthorityUID: "u-9"}
	for _, twin := range []api.Cluster{named("donor", "u-9", ""), named("other", "u-4", "u-9"), getting} {
		if got := api.FindTwin([]api.Cluster{named("none", "u-8", "u-7"), twin}, &c, s); got == nil ||
			got.Metadata.Name != twin.Metadata.Name {
			t.Errorf("want %s, got %+v", twin.Metadata.Name, got)
		}
	}
	heir := named("heir", "u-2", "u-7") // it has others by now, and wants those of its donor back
	if got := api.FindTwin([]api.Cluster{heir, named("other", "u-4", "u-9")}, &heir, s); got == nil {
		t.Error("its own former certificates are another's, and no twin was found")
	}
	heir.Status.AuthorityUID = "u-9"
	if got := api.FindTwin([]api.Cluster{heir, named("other", "u-4", "u-9")}, &heir, s); got != nil {
		t.Errorf("of its own certificates: %+v", got)
	}
}

func TestClusterOfAnUnknownDonorMayBeATwin(t *testing.T) {
	third := &api.Cluster{Metadata: api.Metadata{Name: "third", UID: "u-3"}}
	old := api.Cluster{Metadata: api.Metadata{Name: "old", UID: "u-2"}}
	old.Status.Restored = &api.RestoreResult{OtherCluster: true}
	s := api.Snapshot{Name: "last", Cluster: "donor", ClusterUID: "u-9", State: api.SnapshotKept}
	for range 2 {
		twin := api.FindTwin([]api.Cluster{old}, third, s)
		if twin == nil {
			t.Fatalf("no twin; certificates of %s", old.Authority())
		}
		err := third.CheckRestoreFrom(s, api.RestoreRequest{Mode: api.RestoreNewMachines, SnapshotUID: "u-9"}, twin)
		if err == nil || !strings.Contains(err.Error(), "cluster old, which was restored from a snapshot of another "+
			"cluster, perhaps of the same one, still exists") {
			t.Errorf("got %v", err)
		}
		old.RecordAuthority(api.RestoreRequest{SnapshotUID: "u-2"}) // nor after a restore from its own snapshot
		old.Status.Restored = &api.RestoreResult{SnapshotUID: "u-2"}
	}
}
