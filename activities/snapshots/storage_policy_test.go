package snapshots

import (
	"context"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestKeptSnapshotGetsTheSecretOfNowBeforeItsClusterIsDeleted(t *testing.T) {
	const place = "s3://backups"
	for name, record := range map[string]func(context.Context, *Activities, api.Ref) error{
		"look": func(ctx context.Context, a *Activities, ref api.Ref) error {
			_, err := a.assessSnapshots(ctx, ref)
			return err
		},
		"delete": func(ctx context.Context, a *Activities, ref api.Ref) error {
			return a.DeleteClusterSnapshots(ctx, ref)
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, in, _ := newKept(t)
			a.comparedAt = map[string]time.Time{in.Cluster.UID: time.Now()} // the bucket is not there
			_, err := a.Store.WriteNamedSecret(t.Context(), "second", map[string][]byte{
				api.SecretKeyAccessKey: []byte("a"), api.SecretKeySecretKey: []byte("hush-hush")}, false, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			c := api.NewCluster(in.Cluster.Name, in.Cluster.UID, api.GroupSpec{NumNodes: 1}, nil, time.Now())
			c.Spec.Snapshots = api.SnapshotPolicy{S3URL: place, S3Secret: "second"}
			if _, err := a.Store.CreateCluster(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			_, err = a.Store.UpdateSnapshot(t.Context(), in.Cluster, in.Name, func(s *api.Snapshot) error {
				spec := c.Spec
				spec.Snapshots = api.SnapshotPolicy{S3URL: place, S3Secret: "first"}
				s.Spec, s.Place, s.Reason = &spec, place, api.SnapshotAsked
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := record(t.Context(), a, in.Cluster); err != nil {
				t.Error(err)
			}
			s, err := a.Store.ReadSnapshot(t.Context(), in.Cluster, in.Name)
			if err != nil || s.Spec.Snapshots.S3Secret != "second" {
				t.Errorf("%+v, %v", s.Spec, err)
			}
		})
	}
}
