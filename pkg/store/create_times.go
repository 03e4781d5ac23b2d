package store

import (
	"context"
	"encoding/json"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
)

// maxCreateTimes is how many creates are kept of each cloud; the newest is the last.
const maxCreateTimes = 20

// RecordCreateTime keeps how long a create on a cloud took, for estimates. If two creates end at the same moment, one
// of them may be lost.
func (s *Store) RecordCreateTime(ctx context.Context, cloud string, took api.CreateTime) error {
	if cloud == "" {
		return fmt.Errorf("recording the time of a create: the cloud has no name")
	}
	all, err := s.ListCreateTimes(ctx, cloud)
	if err != nil {
		return err
	}
	all = append(all, took)
	value, err := json.Marshal(all[max(0, len(all)-maxCreateTimes):])
	if err != nil {
		return err
	}
	_, err = s.etcd.Commit(ctx, "recording the time of a create", nil,
		[]clientv3.Op{clientv3.OpPut(s.keys.createTimesKey(cloud), string(value))}, nil)
	return err
}

// ListCreateTimes returns how long the last creates on a cloud took. A record that cannot be read counts as none.
func (s *Store) ListCreateTimes(ctx context.Context, cloud string) ([]api.CreateTime, error) {
	resp, err := s.etcd.Get(ctx, "reading the times of creates", s.keys.createTimesKey(cloud))
	if err != nil || len(resp.Kvs) == 0 {
		return nil, err
	}
	var all []api.CreateTime
	if json.Unmarshal(resp.Kvs[0].Value, &all) != nil {
		return nil, nil
	}
	return all, nil
}
