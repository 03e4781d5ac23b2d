package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
)

// ListClusterSummaries is List with no more of each cluster than a table has room for: metadata, manager, phase,
// resources, drift and since when it is paused, and the conditions where one is Unknown; all else is left empty.
// Decoding is most of what a list of a thousand clusters takes, and most of a cluster is passed over here without it.
func (s *Store) ListClusterSummaries(ctx context.Context) ([]api.Cluster, error) {
	resp, err := s.getKeys(ctx, "listing clusters", s.keys.clustersPrefix(), clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	clusters, bad := decodeAll(resp.Kvs, func(kv *mvccpb.KeyValue) (api.Cluster, *CorruptError) {
		var c api.Cluster
		if err := decodeClusterSummary(kv.Value, &c); err != nil {
			return c, &CorruptError{Keys: []string{string(kv.Key)}, Cause: fmt.Errorf("no cluster object: %w", err)}
		}
		return c, s.completeDecoded(&c, kv)
	})
	return clusters, joinCorruptErrors(bad)
}

// decodeClusterSummary decodes what an Overview shows.
func decodeClusterSummary(object []byte, c *api.Cluster) error {
	return eachJSONMember(object, func(name, value []byte) error {
		switch string(name) {
		case "api_version":
			return json.Unmarshal(value, &c.APIVersion)
		case "kind":
			return json.Unmarshal(value, &c.Kind)
		case "metadata":
			return json.Unmarshal(value, &c.Metadata)
		case "spec":
			return eachJSONMember(value, func(name, value []byte) error {
				if string(name) == "manager" {
					return json.Unmarshal(value, &c.Spec.Manager)
				}
				return nil
			})
		case "status":
			return eachJSONMember(value, func(name, value []byte) error {
				switch string(name) {
				case "phase":
					return json.Unmarshal(value, &c.Status.Phase)
				case "resources":
					return json.Unmarshal(value, &c.Status.Resources)
				case "conditions":
					if bytes.Contains(value, []byte(api.ConditionUnknown)) { // what is known to be so is not shown
						return json.Unmarshal(value, &c.Status.Conditions)
					}
				case "drift":
					return json.Unmarshal(value, &c.Status.Drift)
				case "paused_at":
					return json.Unmarshal(value, &c.Status.PausedAt)
				}
				return nil
			})
		}
		return nil
	})
}

var errNoJSONObject = errors.New("it is no JSON object, or is cut")

// eachJSONMember calls each with the name and the text of every member of a JSON object. It finds where they end and
// does not check what is in between: that is for whoever decodes them. Names have to be plain, without escapes.
func eachJSONMember(object []byte, each func(name, value []byte) error) error {
	rest := bytes.TrimSpace(object)
	if len(rest) < 2 || rest[0] != '{' || rest[len(rest)-1] != '}' {
		return errNoJSONObject
	}
	rest = bytes.TrimSpace(rest[1 : len(rest)-1])
	for len(rest) > 0 {
		end := jsonStringLength(rest)
		if end < 0 {
			return errNoJSONObject
		}
		name := rest[1 : end-1]
		rest = bytes.TrimSpace(rest[end:])
		if len(rest) == 0 || rest[0] != ':' {
			return errNoJSONObject
		}
		rest = bytes.TrimSpace(rest[1:])
		if end = jsonValueLength(rest); end <= 0 {
			return errNoJSONObject
		}
		if err := each(name, rest[:end]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if rest = bytes.TrimSpace(rest[end:]); len(rest) > 0 {
			if rest[0] != ',' || len(rest) == 1 {
				return errNoJSONObject
			}
			rest = bytes.TrimSpace(rest[1:])
		}
	}
	return nil
}

// jsonStringLength is the length of the string that b begins with; -1 where it begins with none.
func jsonStringLength(b []byte) int {
	if len(b) == 0 || b[0] != '"' {
		return -1
	}
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// jsonValueLength is the length of the value that b begins with, which a comma follows or nothing; -1 where it has no
// end.
func jsonValueLength(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			n := jsonStringLength(b[i:])
			if n < 0 {
				return -1
			}
			i += n - 1
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	if depth != 0 {
		return -1
	}
	return len(b)
}
