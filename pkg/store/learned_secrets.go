package store

import (
	"context"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/store/etcd"
)

// learnEvery is how often a process that uses a cluster's secrets reads those that other processes wrote.
const learnEvery = 30 * time.Second

// secretLearner tracks which secrets this process has registered for redaction in the output of machines (see package
// redact). A new process has to register all secrets of a cluster before it reads output of the cluster's machines.
type secretLearner struct {
	mu       sync.Mutex
	clusters map[string]learnedSecrets
}

type learnedSecrets struct {
	at time.Time
	// revision is the revision of etcd up to which all secrets are registered.
	revision int64
}

// nextRevision is the revision from which to read a cluster's secrets, or 0 if they were read less than learnEvery ago.
func (l *secretLearner) nextRevision(uid string, now time.Time) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.clusters[uid]
	if now.Sub(last.at) < learnEvery {
		return 0
	}
	return last.revision + 1
}

func (l *secretLearner) recordLearned(uid string, revision int64, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.clusters == nil {
		l.clusters = map[string]learnedSecrets{}
	}
	l.clusters[uid] = learnedSecrets{now, revision}
}

func (l *secretLearner) forgetCluster(uid string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.clusters, uid)
	redact.ForgetOwner(uid)
}

// readSealedSecret reads a sealed secret, and in the same transaction registers all new secrets of its cluster. It
// returns nil if the secret does not exist.
func (s *Store) readSealedSecret(ctx context.Context, ref api.Ref, key string) ([]byte, error) {
	doing := fmt.Sprintf("reading secret %q of cluster %q", key, ref.Name)
	path, now := s.keys.secretKey(ref.UID, key), time.Now()
	ops := []clientv3.Op{clientv3.OpGet(path)}
	since := s.learner.nextRevision(ref.UID, now)
	if since > 0 && s.box.Err() == nil {
		ops = append(ops, clientv3.OpGet(s.keys.secretsPrefix(ref.UID), clientv3.WithPrefix(),
			clientv3.WithMinModRev(since)))
	}
	resp, err := s.etcd.Commit(ctx, doing, nil, ops, nil)
	if err != nil {
		return nil, err
	}
	if len(ops) > 1 {
		for _, kv := range etcd.RangeResult(resp, 1) {
			// a secret that cannot be opened cannot leak
			if value, err := s.box.Open(string(kv.Key), kv.Value); err == nil {
				redact.LearnSecret(ref.UID, value)
			}
		}
		s.learner.recordLearned(ref.UID, resp.Header.GetRevision(), now)
	}
	if kv := etcd.FirstKV(resp, 0); kv != nil {
		return kv.Value, nil
	}
	return nil, nil
}
