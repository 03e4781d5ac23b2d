package faults

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client/start"
)

// verifications are scenes in which a snapshot is verified. The worker has no Docker; what a kill leaves of a host is
// shown in pkg/cloud/docker. The workflow has one id for all clusters, so each lane has a Temporal of its own.
var verifications = []scene{
	{
		name: "verification of a snapshot whose file is gone", ends: isReady, home: home{temporal: fresh},
		prepare: drift(func(l *lane, ref api.Ref) {
			l.snapshotsBroken = true
			l.check(l.store.CreateSnapshot(l.t.Context(), keptSnapshot(ref)))
		}),
		act:        (*lane).verifySnapshot,
		then:       verified(api.SnapshotDamaged),
		activities: [][]string{{"ListSnapshotChecks", "VerifySnapshot"}},
	},
	{
		name: "verification of a snapshot without Docker", ends: isReady, home: home{temporal: fresh},
		prepare: drift((*lane).keepSnapshotFile),
		act:     (*lane).verifySnapshot,
		then:    verified(api.SnapshotUnknown),
		also:    []string{"ListSnapshotChecks"}, activities: [][]string{{"FailSnapshotCheck"}},
	},
}

// keptSnapshot is the record of a snapshot that is kept off the machines.
func keptSnapshot(ref api.Ref) api.Snapshot {
	return api.Snapshot{Name: "kept", Cluster: ref.Name, ClusterUID: ref.UID, State: api.SnapshotKept,
		Place: api.SnapshotPlaceSkyd, Object: activities.SnapshotObject(ref, "kept"), Revision: 2,
		Keys: map[string]int64{"/registry/pods": 1}}
}

// keepSnapshotFile keeps a snapshot with its file.
func (l *lane) keepSnapshotFile(ref api.Ref) {
	l.t.Helper()
	l.snapshotsBroken = true
	files := &activities.SnapshotFiles{Store: l.store, Dir: l.place.Settings.Snapshots,
		QuotaBytes: l.place.Settings.SnapshotQuota}
	s := keptSnapshot(ref)
	v, err := files.VaultOf(l.t.Context(), s)
	l.check(err)
	const content = "etcd's pages"
	sum := sha256.Sum256([]byte(content))
	s.Bytes, s.SHA256 = int64(len(content)), hex.EncodeToString(sum[:])
	_, err = v.Put(l.t.Context(), s.Object, strings.NewReader(content))
	l.check(err)
	l.check(l.store.CreateSnapshot(l.t.Context(), s))
}

// verifySnapshot requests the verification of the snapshot.
func (l *lane) verifySnapshot(ref api.Ref) {
	l.t.Helper()
	_, err := l.store.UpdateSnapshot(l.t.Context(), ref, "kept", func(s *api.Snapshot) error {
		s.RequestCheck(time.Now())
		return nil
	})
	l.check(err)
	l.check(start.VerifySnapshots(l.t.Context(), l.conn, l.cluster))
}

// verified waits for the result of the verification.
func verified(result api.SnapshotResult) func(*lane, api.Ref) {
	return func(l *lane, ref api.Ref) {
		l.until("the result "+string(result)+" stands on the snapshot", func() bool {
			s, err := l.store.ReadSnapshot(l.t.Context(), ref, "kept")
			return err == nil && !s.Check.IsDue() && s.Check.Result == result
		})
	}
}
