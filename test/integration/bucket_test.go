package integration

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/skypilot"
	scenes "github.com/sky-shift/skyctl/test/snapshotscenes"
)

const bucketSecret = "bucket-login"

// newBucketKeeper keeps the snapshots of a cluster in a bucket of a real S3 server, and one of its schedule.
func newBucketKeeper(t *testing.T) *keeper {
	t.Helper()
	w := newWorld(t)
	s3 := skypilot.StartS3(t)
	_, err := w.store.WriteNamedSecret(t.Context(), bucketSecret, map[string][]byte{
		api.SecretKeyAccessKey: []byte(s3.AccessKey), api.SecretKeySecretKey: []byte(s3.SecretKey)}, false, time.Now())
	w.check(err)
	return newKeeperIn(w, "bucket", api.SnapshotPolicy{Keep: 1, S3URL: "s3://" + skypilot.S3Bucket + "/prod",
		S3Endpoint: s3.Endpoint, S3Secret: bucketSecret})
}

// wantInBucket checks that these snapshots and no others are recorded and have a file in the bucket.
func (k *keeper) wantInBucket(opened api.Snapshot, names ...string) {
	k.T.Helper()
	v, err := k.Files.VaultOf(k.T.Context(), opened)
	k.Check(err)
	files, err := v.List(k.T.Context())
	k.Check(err)
	var objects, want, recorded []string
	for _, f := range files {
		objects = append(objects, f.Name)
	}
	for _, name := range names {
		want = append(want, k.Ref.UID+"/"+name)
	}
	for _, s := range k.Snapshots() {
		recorded = append(recorded, k.Ref.UID+"/"+s.Name)
	}
	slices.Sort(want)
	slices.Sort(recorded)
	if !slices.Equal(recorded, want) || !slices.Equal(objects, want) {
		k.T.Fatalf("%s; objects %q, want %q", scenes.Describe(k.Snapshots()), objects, want)
	}
}

// wantSecretInUse checks that the secret of the bucket is not deleted, because of these snapshots.
func (k *keeper) wantSecretInUse(snapshots ...string) {
	k.T.Helper()
	inUse := new(store.SecretInUseError)
	if err := k.Store.DeleteNamedSecret(k.T.Context(), bucketSecret, false); !errors.As(err, &inUse) ||
		len(inUse.Snapshots) != len(snapshots) {
		k.T.Errorf("got %v, want that %q are in the bucket", err, snapshots)
	}
}

func TestSnapshotsInABucketOutliveTheirClusterAndRestoreAnother(t *testing.T) {
	k := newBucketKeeper(t)
	w := k.world
	k.Check(w.cloud.WriteObject(k.Ref.UID, "before", "1"))
	k.RequestSnapshot("mine")
	all := k.Keep()
	mine := all[slices.IndexFunc(all, func(s api.Snapshot) bool { return s.Name == "mine" })]
	if mine.State != api.SnapshotKept || !strings.HasPrefix(mine.Place, "s3://") || mine.SealedBytes <= mine.Bytes {
		t.Fatalf("got %+v", mine)
	}
	k.Check(w.cloud.WriteObject(k.Ref.UID, "after", "1"))
	for range 2 {
		k.TakeScheduled(k.Snapshots()[0].TakenAt)
		k.Keep()
	}
	newest := k.Snapshots()[0]
	k.wantInBucket(mine, "mine", newest.Name) // the schedule keeps one

	k.Check(w.ops.CheckSnapshotFile(t.Context(), mine))
	v, err := k.Files.VaultOf(t.Context(), newest)
	k.Check(err)
	_, err = v.Put(t.Context(), newest.Object, strings.NewReader("something else"))
	k.Check(err)
	if err := w.ops.CheckSnapshotFile(t.Context(), newest); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged object: %v", err)
	}
	c, err := w.restore(k.Ref, client.RestoreOptions{Snapshot: mine, NewMachines: true})
	k.Check(err)
	w.hasStateOfBefore(k.Ref, 1)
	saved := k.Snapshots()[slices.IndexFunc(k.Snapshots(), func(s api.Snapshot) bool {
		return s.Reason == api.SnapshotBeforeRestore
	})]
	if c.Status.Restored.NotKept != "" || saved.Place != mine.Place {
		t.Errorf("restored %+v; saved %+v", c.Status.Restored, saved)
	}

	if files := k.KeptFiles(); len(files) > 0 {
		t.Errorf("files in skyd's directory: %q", files)
	}
	heir := w.create("bucket-heir", 1, client.CreateOptions{})
	w.awaitReady(heir)
	k.DeleteCluster()
	k.wantInBucket(mine, "mine", saved.Name)
	k.wantSecretInUse("mine", saved.Name)
	_, err = w.restore(heir, client.RestoreOptions{Snapshot: mine, NewMachines: true, Force: true})
	k.Check(err)
	w.hasStateOfBefore(heir, 1)

	for _, s := range k.Snapshots() {
		k.RequestDelete(s)
	}
	k.Keep()
	k.wantInBucket(mine)
	k.Check(k.Store.DeleteNamedSecret(t.Context(), bucketSecret, false))
}
