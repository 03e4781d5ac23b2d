package snapshots

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
)

// newVerifier returns a verifier without any cloud, and a snapshot that is to be verified.
func newVerifier(t *testing.T) (*Verifier, api.Snapshot) {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	st := store.New(client, "/"+t.Name(), make([]byte, 32))
	v := &Verifier{Store: st, Now: time.Now, Deadlines: activities.DefaultDeadlines(),
		Files: &activities.SnapshotFiles{Store: st, Dir: t.TempDir(), QuotaBytes: 1 << 20}}
	const content = "etcd's pages"
	sum := sha256.Sum256([]byte(content))
	s := api.Snapshot{Name: "auto-1", Cluster: "prod", ClusterUID: "u-1", State: api.SnapshotKept,
		Place: api.SnapshotPlaceSkyd, Object: "u-1/auto-1", Bytes: int64(len(content)),
		SHA256:   hex.EncodeToString(sum[:]),
		Revision: 3, Keys: map[string]int64{"other": 1},
		Check: &api.SnapshotCheck{AskedAt: time.Now().Add(-time.Second)}}
	place, err := v.Files.VaultOf(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := place.Put(t.Context(), s.Object, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	if err := st.CreateSnapshot(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return v, s
}

func TestDamagedFileIsFoundWithoutDocker(t *testing.T) {
	for name, spoil := range map[string]func(*testing.T, string){
		"changed": spoilFile,
		"gone": func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			v, s := newVerifier(t)
			spoil(t, filepath.Join(v.Files.Dir, s.Object))
			if err := v.VerifySnapshot(t.Context(), CheckRef{Cluster: s.Ref(), Name: s.Name}); err != nil {
				t.Fatal(err)
			}
			after, err := v.Store.ReadSnapshot(t.Context(), s.Ref(), s.Name)
			if err != nil || after.Check.Result != api.SnapshotDamaged || after.IsUsable() ||
				after.Check.StartedAt.IsZero() {
				t.Errorf("got %+v, %v", after.Check, err)
			}
		})
	}
}

func TestWithoutDockerNothingIsSaidOfTheSnapshot(t *testing.T) {
	v, s := newVerifier(t)
	ref := CheckRef{Cluster: s.Ref(), Name: s.Name}
	err := v.VerifySnapshot(t.Context(), ref)
	failure := activities.FailureDetails(err)
	if failure.Reason != "NoDocker" || !strings.Contains(failure.Message,
		"verified on a Docker host of this computer") {
		t.Fatalf("got %v", err)
	}
	if err := v.FailSnapshotCheck(t.Context(), FailedCheck{Ref: ref, Failure: failure}); err != nil {
		t.Fatal(err)
	}
	after, err := v.Store.ReadSnapshot(t.Context(), s.Ref(), s.Name)
	if err != nil || after.Check.Result != api.SnapshotUnknown || after.Check.IsDue() || !after.IsUsable() ||
		!strings.Contains(after.Check.Message, "Docker") {
		t.Errorf("got %+v, %v", after.Check, err)
	}
	if refs, err := v.ListSnapshotChecks(t.Context()); err != nil || len(refs) != 0 {
		t.Errorf("still to verify: %v, %v", refs, err)
	}
}

func TestSnapshotThatIsNotKeptIsNotJudged(t *testing.T) {
	v, s := newVerifier(t)
	if _, err := v.Store.UpdateSnapshot(t.Context(), s.Ref(), s.Name, func(s *api.Snapshot) error {
		s.State, s.Place, s.Keys = api.SnapshotTaken, "", nil
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	err := v.VerifySnapshot(t.Context(), CheckRef{Cluster: s.Ref(), Name: s.Name})
	if failure := activities.FailureDetails(err); failure.Reason != "SnapshotNotKept" {
		t.Errorf("got %v", err)
	}
}

func TestDeletedSnapshotIsNotVerified(t *testing.T) {
	v, s := newVerifier(t)
	if err := v.Store.ForgetSnapshot(t.Context(), s.Ref(), s.Name); err != nil {
		t.Fatal(err)
	}
	ref := CheckRef{Cluster: s.Ref(), Name: s.Name}
	err := errors.Join(v.VerifySnapshot(t.Context(), ref), v.FailSnapshotCheck(t.Context(), FailedCheck{Ref: ref}))
	if err != nil {
		t.Error(err)
	}
}

func TestRequestOfAFastClockEnds(t *testing.T) {
	v, s := newVerifier(t)
	if _, err := v.Store.UpdateSnapshot(t.Context(), s.Ref(), s.Name, func(s *api.Snapshot) error {
		s.RequestCheck(time.Now().Add(time.Hour))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := v.FailSnapshotCheck(t.Context(), FailedCheck{Ref: CheckRef{Cluster: s.Ref(), Name: s.Name}}); err != nil {
		t.Fatal(err)
	}
	if refs, err := v.ListSnapshotChecks(t.Context()); err != nil || len(refs) != 0 {
		t.Errorf("still to verify: %v, %v", refs, err)
	}
}
