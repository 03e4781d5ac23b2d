package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
)

func TestSnapshotsAreRecordedByCluster(t *testing.T) {
	s := newWorld(t)
	ctx := t.Context()
	prod := api.Ref{Name: "prod", UID: "uid-1"}
	for _, taken := range []api.Snapshot{
		{Name: "auto-20261129-003000", Cluster: "prod", ClusterUID: "uid-1", TakenAt: time.Unix(100, 0)},
		{Name: "before-migration", Cluster: "prod", ClusterUID: "uid-1", TakenAt: time.Unix(200, 0)},
		{Name: "before-migration", Cluster: "dev", ClusterUID: "uid-2", TakenAt: time.Unix(50, 0)},
	} {
		if err := s.CreateSnapshot(ctx, taken); err != nil {
			t.Fatal(err)
		}
	}
	exists := new(store.SnapshotExistsError)
	if err := s.CreateSnapshot(ctx, api.Snapshot{Name: "before-migration", Cluster: "prod",
		ClusterUID: "uid-1"}); !errors.As(err, &exists) {
		t.Errorf("created twice: %v", err)
	}
	updated, err := s.UpdateSnapshot(ctx, prod, "before-migration", func(s *api.Snapshot) error {
		s.State = api.SnapshotKept
		return nil
	})
	if err != nil || updated.State != api.SnapshotKept {
		t.Fatalf("%+v, %v", updated, err)
	}
	all, err := s.ListSnapshots(ctx, "")
	if err != nil || len(all) != 3 || all[0].Cluster != "dev" || all[1].Name != "before-migration" {
		t.Errorf("%+v, %v", all, err)
	}
	if newest := api.NewestUsableSnapshot(all); newest == nil || newest.Name != "before-migration" {
		t.Errorf("newest usable: %+v", newest)
	}
	if err := s.ForgetSnapshot(ctx, prod, "before-migration"); err != nil {
		t.Fatal(err)
	}
	missing := new(store.SnapshotMissingError)
	if _, err := s.ReadSnapshot(ctx, prod, "before-migration"); !errors.As(err, &missing) {
		t.Errorf("read after it was forgotten: %v", err)
	}
	if ofProd, err := s.ListSnapshots(ctx, "uid-1"); err != nil || len(ofProd) != 1 {
		t.Errorf("%+v, %v", ofProd, err)
	}
}

func TestTokensOfSnapshotsAreSealed(t *testing.T) {
	s := newWorld(t)
	ctx := t.Context()
	prod := api.Ref{Name: "prod", UID: "uid-1"}
	if err := s.CreateSnapshot(ctx, api.Snapshot{Name: "a", Cluster: "prod", ClusterUID: "uid-1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ReadSnapshotToken(ctx, prod, "a"); err == nil {
		t.Error("a snapshot without a token has one")
	}
	if err := s.PutSnapshotToken(ctx, prod, "a", []byte("K10secret")); err != nil {
		t.Fatal(err)
	}
	if token, err := s.ReadSnapshotToken(ctx, prod, "a"); err != nil || string(token) != "K10secret" {
		t.Errorf("%q, %v", token, err)
	}
	made := 0
	create := func() (string, error) { made++; return "AGE-SECRET-KEY-1", nil }
	for range 2 {
		if identity, err := s.EnsureSnapshotIdentity(ctx, create); err != nil || identity != "AGE-SECRET-KEY-1" {
			t.Errorf("%q, %v", identity, err)
		}
	}
	if has, err := s.HasSecrets(ctx); made != 1 || err != nil || !has {
		t.Errorf("made %d times; has secrets: %v, %v", made, has, err)
	}
}
