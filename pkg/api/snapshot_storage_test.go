package api_test

import (
	"slices"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestSnapshotIsOpenedByTheSecretOfNowOnceThatIsRecorded(t *testing.T) {
	const place = "s3://backups"
	c, s := newSnapshotted()
	kept := c.Spec
	kept.Snapshots = api.SnapshotPolicy{Keep: 7, S3URL: place, S3Secret: "first"}
	s.Spec, s.Place, s.Object = &kept, place, "u-1/one"
	c.Spec.Snapshots = api.SnapshotPolicy{Keep: 9, S3URL: place, S3Secret: "second"}
	wantOpened := func(when string, clusters []api.Cluster, secrets ...string) {
		t.Helper()
		for _, secret := range []string{"first", "second"} {
			n := len(api.SnapshotsOpenedBy(secret, clusters, []api.Snapshot{s}))
			if want := slices.Contains(secrets, secret); (n == 1) != want {
				t.Errorf("%s: %s opens %d", when, secret, n)
			}
		}
	}
	wantOpened("after the change", []api.Cluster{*c}, "first", "second")
	if !s.AdoptStoragePolicy(c) || s.AdoptStoragePolicy(c) || s.Spec.Snapshots.Keep != 7 ||
		kept.Snapshots.S3Secret != "first" {
		t.Errorf("recorded %+v", s.Spec.Snapshots)
	}
	wantOpened("once it is recorded", []api.Cluster{*c}, "second")
	c.Spec.Snapshots = api.SnapshotPolicy{S3URL: "s3://elsewhere", S3Secret: "first"}
	if s.AdoptStoragePolicy(c) || s.AdoptStoragePolicy(nil) {
		t.Errorf("of another storage: %+v", s.Spec.Snapshots)
	}
	wantOpened("with another storage", []api.Cluster{*c}, "second")
	wantOpened("once the cluster is deleted", nil, "second")
}
