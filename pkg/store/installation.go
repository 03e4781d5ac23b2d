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

// SweepStale is after how long without a sweep nobody can rely on what the last one recorded, where sweeps are meant
// to come often. Where they come seldom, it is missedSweeps times their interval.
const (
	SweepStale   = 10 * time.Minute
	missedSweeps = 3
)

// EnsureInstallationID is the id of this etcd's installation. The first call makes it; every other one, from any
// process, returns the same. One that was lost is put back from the record of the home; where that is lost too, and
// machines are recorded that carry it, there is no making another: they would be nobody's from then on.
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
	made := h.Installation
	if made == "" {
		id := make([]byte, 8)
		if _, err := rand.Read(id); err != nil {
			return "", fmt.Errorf("making the installation's id: %w", err)
		}
		made = hex.EncodeToString(id)
	}
	when := []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(key), "=", 0)}
	if h.Installation == "" {
		when = append(when, clientv3.Compare(clientv3.CreateRevision(s.keys.allMachinesPrefix()).WithPrefix(), "=", 0))
	}
	done, err := s.etcd.Commit(ctx, doing, when, []clientv3.Op{clientv3.OpPut(key, made)},
		[]clientv3.Op{clientv3.OpGet(key)})
	if err != nil {
		return "", err
	}
	if done.Succeeded {
		return made, nil
	}
	if kv := etcd.FirstKV(done, 0); kv != nil && len(kv.Value) > 0 { // another was faster
		return string(kv.Value), nil
	}
	return "", &CorruptError{Keys: []string{key},
		Cause: errors.New("the installation's id is gone, though there are machines that carry it: " +
			"put it back from a backup of etcd, or from the label of a machine")}
}

// ReadHome is what is recorded of the installation's home; the zero Home where nothing is yet.
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
		return nil, &CorruptError{Keys: []string{string(kv.Key)}, Cause: fmt.Errorf("no record of a home: %w", err)}
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

// RecordSweep records that a sweep over all clusters has begun, of those that are meant to come at an interval. The
// record ends by itself, by etcd's own measure of time: no two machines' clocks are compared.
func (s *Store) RecordSweep(ctx context.Context, now time.Time, interval time.Duration) error {
	const doing = "recording that a sweep has begun"
	lease, err := s.etcd.Grant(ctx, doing, max(SweepStale, missedSweeps*interval))
	if err != nil {
		return err
	}
	_, err = s.etcd.Commit(ctx, doing, nil, []clientv3.Op{
		clientv3.OpPut(s.keys.lastSweepKey(), now.UTC().Format(time.RFC3339), clientv3.WithLease(lease)),
	}, nil)
	return err
}

// HasRecentSweep says whether a sweep over all clusters has begun before it was time to miss one.
func (s *Store) HasRecentSweep(ctx context.Context) (bool, error) {
	resp, err := s.etcd.Get(ctx, "reading when the last sweep was", s.keys.lastSweepKey(), clientv3.WithCountOnly())
	return err == nil && resp.Count > 0, err
}
