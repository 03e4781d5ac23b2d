package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store/jsonscan"
)

// ListClusterSummaries is ListClusters with only the fields that a table shows: metadata, manager, phase, resources,
// the operation, drift, the time of a pause, a requested restore or stop, and the conditions if one is Unknown. Most of
// the time to list a thousand clusters is decoding, and this function skips most of each object without decoding it.
func (s *Store) ListClusterSummaries(ctx context.Context) ([]api.Cluster, error) {
	resp, err := s.etcd.Get(ctx, "listing clusters", s.keys.clustersPrefix(), clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	clusters, bad := decodeAll(resp.Kvs, func(kv *mvccpb.KeyValue) (api.Cluster, *CorruptError) {
		var c api.Cluster
		if err := decodeClusterSummary(kv.Value, &c); err != nil {
			return c, &CorruptError{Keys: []string{string(kv.Key)},
				Cause: fmt.Errorf("invalid cluster object: %w", err)}
		}
		return c, s.completeDecoded(&c, kv)
	})
	return clusters, joinCorruptErrors(bad)
}

// decodeClusterSummary decodes the fields of a summary.
func decodeClusterSummary(object []byte, c *api.Cluster) error {
	return jsonscan.EachMember(object, func(name, value []byte) error {
		switch string(name) {
		case "apiVersion", "api_version":
			return json.Unmarshal(value, &c.APIVersion)
		case "kind":
			return json.Unmarshal(value, &c.Kind)
		case "metadata":
			return json.Unmarshal(value, &c.Metadata)
		case "spec":
			return jsonscan.EachMember(value, func(name, value []byte) error {
				if string(name) == "manager" {
					return json.Unmarshal(value, &c.Spec.Manager)
				}
				return nil
			})
		case "status":
			return jsonscan.EachMember(value, func(name, value []byte) error {
				switch string(name) {
				case "phase":
					return json.Unmarshal(value, &c.Status.Phase)
				case "resources":
					return json.Unmarshal(value, &c.Status.Resources)
				case "conditions":
					if bytes.Contains(value, []byte(api.ConditionUnknown)) { // tables show no other conditions
						return json.Unmarshal(value, &c.Status.Conditions)
					}
				case "operation":
					return json.Unmarshal(value, &c.Status.Operation)
				case "drift":
					return json.Unmarshal(value, &c.Status.Drift)
				case "restore":
					return json.Unmarshal(value, &c.Status.Restore)
				case "stop":
					return json.Unmarshal(value, &c.Status.Stop)
				case "paused_at":
					return json.Unmarshal(value, &c.Status.PausedAt)
				}
				return nil
			})
		}
		return nil
	})
}
