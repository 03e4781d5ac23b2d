package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store/etcd"
)

// SweepStale is the time after which the results of the last sweep are out of date. With a long interval between sweeps
// it is missedSweeps times that interval.
const (
	SweepStale   = 10 * time.Minute
	missedSweeps = 3
)

// EnsureInstallationID returns the id of this etcd's installation. The first call creates it; all others, from any
// process, return the same. A lost id is restored from the record of the home. If that is lost too and machines are
// recorded, it is an error: with a new id the machines would no longer belong to the installation.
func (s *Store) EnsureInstallationID(ctx context.Context) (string, error) {
	const doing = "reading the installation's id"
	key := s.keys.installationKey()
	resp, err := s.etcd.Get(ctx, doing, key)
	if err != nil {
		return "", err
	}
	if len(resp.Kvs) > 0 && len(resp.Kvs[0].Value) > 0 {
		return string(resp.Kvs[0].Value), nil
	}
	h, err := s.ReadHome(ctx)
	if err != nil {
		return "", err
	}
	id := h.Installation
	if id == "" {
		random := make([]byte, 8)
		if _, err := rand.Read(random); err != nil {
			return "", fmt.Errorf("creating the installation's id: %w", err)
		}
		id = hex.EncodeToString(random)
	}
	when := []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(key), "=", 0)}
	if h.Installation == "" {
		when = append(when, clientv3.Compare(clientv3.CreateRevision(s.keys.allMachinesPrefix()).WithPrefix(), "=", 0))
	}
	done, err := s.etcd.Commit(ctx, doing, when, []clientv3.Op{clientv3.OpPut(key, id)},
		[]clientv3.Op{clientv3.OpGet(key)})
	if err != nil {
		return "", err
	}
	if done.Succeeded {
		return id, nil
	}
	if kv := etcd.FirstKV(done, 0); kv != nil && len(kv.Value) > 0 { // another process was faster
		return string(kv.Value), nil
	}
	return "", &CorruptError{Keys: []string{key},
		Cause: errors.New("the installation's id is missing, but machines with it are recorded: " +
			"restore it from a backup of etcd, or from the label of a machine")}
}

// ReadHome returns the record of the installation's home, or the zero Home if there is none.
func (s *Store) ReadHome(ctx context.Context) (api.Home, error) {
	resp, err := s.etcd.Get(ctx, "reading the installation's home", s.keys.homeKey())
	if err != nil || len(resp.Kvs) == 0 {
		return api.Home{}, err
	}
	h, err := decodeHome(resp.Kvs[0])
	if err != nil {
		return api.Home{}, err
	}
	return *h, nil
}

// decodeHome returns the zero Home for a key that does not exist.
func decodeHome(kv *mvccpb.KeyValue) (*api.Home, error) {
	h := new(api.Home)
	if kv == nil {
		return h, nil
	}
	if err := json.Unmarshal(kv.Value, h); err != nil {
		return nil, &CorruptError{Keys: []string{string(kv.Key)},
			Cause: fmt.Errorf("invalid record of a home: %w", err)}
	}
	return h, nil
}

// UpdateHome changes the record of the installation's home by compare-and-swap and returns the new record. change may
// be called several times; if it fails, its error is returned and nothing is written.
func (s *Store) UpdateHome(ctx context.Context, change func(*api.Home) error) (api.Home, error) {
	const doing = "recording the installation's home"
	h, _, err := etcd.UpdateKey(ctx, s.etcd, etcd.KeyUpdate[*api.Home]{
		Doing: doing, Key: s.keys.homeKey(), Decode: decodeHome, Change: change,
		Encode: func(h *api.Home) ([]byte, error) {
			value, err := json.Marshal(h)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", doing, err)
			}
			return value, nil
		},
	})
	if err != nil {
		return api.Home{}, err
	}
	return *h, nil
}

// RecordSweep records that a sweep over all clusters has started. interval is the time between sweeps. The record
// expires with a lease of etcd, so clocks of different machines are not compared.
func (s *Store) RecordSweep(ctx context.Context, now time.Time, interval time.Duration) error {
	const doing = "recording that a sweep has started"
	lease, err := s.etcd.Grant(ctx, doing, max(SweepStale, missedSweeps*interval))
	if err != nil {
		return err
	}
	_, err = s.etcd.Commit(ctx, doing, nil, []clientv3.Op{
		clientv3.OpPut(s.keys.lastSweepKey(), now.UTC().Format(time.RFC3339), clientv3.WithLease(lease)),
	}, nil)
	return err
}

// HasRecentSweep reports whether the results of the last sweep are up to date.
func (s *Store) HasRecentSweep(ctx context.Context) (bool, error) {
	resp, err := s.etcd.Get(ctx, "reading when the last sweep was", s.keys.lastSweepKey(), clientv3.WithCountOnly())
	return err == nil && resp.Count > 0, err
}
