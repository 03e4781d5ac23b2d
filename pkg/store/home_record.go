package store

import (
	"context"
	"encoding/json"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
)

// ReadHome is what is recorded of the installation's home; the zero Home where nothing is yet.
func (s *Store) ReadHome(ctx context.Context) (api.Home, error) {
	h, _, err := s.readHomeWithRevision(ctx)
	return h, err
}

func (s *Store) readHomeWithRevision(ctx context.Context) (api.Home, int64, error) {
	key := s.keys.homeKey()
	resp, err := s.getKeys(ctx, "reading the installation's home", key)
	if err != nil || len(resp.Kvs) == 0 {
		return api.Home{}, 0, err
	}
	var h api.Home
	if err := json.Unmarshal(resp.Kvs[0].Value, &h); err != nil {
		return h, 0, &CorruptError{Keys: []string{key}, Cause: fmt.Errorf("no record of a home: %w", err)}
	}
	return h, resp.Kvs[0].ModRevision, nil
}

// UpdateHome changes the record of the installation's home by compare-and-swap, and returns what is recorded then. An
// error of change ends it, and nothing is written.
func (s *Store) UpdateHome(ctx context.Context, change func(*api.Home) error) (api.Home, error) {
	const doing = "recording the installation's home"
	key := s.keys.homeKey()
	for attempt := 0; ; attempt++ {
		h, revision, err := s.readHomeWithRevision(ctx)
		if err != nil {
			return h, err
		}
		if err := change(&h); err != nil {
			return h, err
		}
		value, err := json.Marshal(h)
		if err != nil {
			return h, fmt.Errorf("%s: %w", doing, err)
		}
		done, err := s.commitTxn(ctx, doing,
			[]clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(key), "=", revision)},
			[]clientv3.Op{clientv3.OpPut(key, string(value))}, nil)
		if err != nil || done.Succeeded {
			return h, err
		}
		if err := pauseBeforeRetry(ctx, attempt); err != nil {
			return h, fmt.Errorf("%s: %w", doing, err)
		}
	}
}
