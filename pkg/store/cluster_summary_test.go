package store_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestSummariesMatchList(t *testing.T) {
	w := newWorld(t)
	plain, odd := full("plain", "u1"), full("odd", "u2")
	odd.Metadata.Labels = map[string]string{"a": `"}],{[\\`, "b": "ü\u2028, : \t", "c": ""}
	odd.Status.Failure = &api.Failure{Step: `{"phase":"INIT"}`, Message: `\`, Log: []string{`"`, `\"`, "}", "]"}}
	odd.Status.SetDrift([]api.Drift{{Machine: "sky-odd-1", Reason: api.DriftMachineGone, Message: "gone"},
		{Reason: api.DriftGPU}}, odd.Metadata.CreatedAt)
	odd.Status.PausedAt = odd.Metadata.CreatedAt
	odd.Status.Operation = &api.OperationStatus{Type: "Converge", Doing: "adding 2", Since: odd.Metadata.CreatedAt}
	odd.Status.Restore = &api.RestoreRequest{ID: "restore-1", Snapshot: "one", AskedAt: odd.Metadata.CreatedAt}
	odd.Status.Stop = &api.StopRequest{Snapshot: "two", AskedAt: odd.Metadata.CreatedAt}
	bare := cluster("bare", "u3")
	for _, c := range []*api.Cluster{plain, odd, bare} {
		_, err := w.CreateCluster(t.Context(), c)
		must(t, err)
	}
	// Handwritten JSON with spaces and members in another order.
	var spaced map[string]any
	must(t, json.Unmarshal([]byte(w.raw(t)["/clusters/odd"]), &spaced))
	indented, err := json.MarshalIndent(spaced, "", "\t")
	must(t, err)
	_, err = w.etcd.Put(t.Context(), w.prefix+"/clusters/odd", string(indented))
	must(t, err)

	all, err := w.ListClusters(t.Context())
	must(t, err)
	for i, c := range all {
		all[i] = api.Cluster{APIVersion: c.APIVersion, Kind: c.Kind, Metadata: c.Metadata,
			Spec: api.ClusterSpec{Manager: c.Spec.Manager},
			Status: api.ClusterStatus{Phase: c.Status.Phase, Resources: c.Status.Resources, Drift: c.Status.Drift,
				Operation: c.Status.Operation, PausedAt: c.Status.PausedAt, Restore: c.Status.Restore,
				Stop: c.Status.Stop}}
	}
	got, err := w.ListClusterSummaries(t.Context())
	must(t, err)
	if len(got) != 3 || !reflect.DeepEqual(got, all) {
		t.Errorf("got  %+v\nwant %+v", got, all)
	}
}

func TestTruncatedObjectIsLeftOutOfSummaries(t *testing.T) {
	w := newWorld(t)
	_, err := w.CreateCluster(t.Context(), full("c", "u1"))
	must(t, err)
	whole := w.raw(t)["/clusters/c"]
	for _, value := range []string{"", "null", "[]", "{", "{}", `{"metadata"}`, `{"metadata":}`, whole + "x",
		strings.Replace(whole, `":`, `"`, 1),
		whole[:len(whole)/3], whole[:len(whole)/2], whole[:len(whole)-1]} {
		_, err := w.etcd.Put(t.Context(), w.prefix+"/clusters/c", value)
		must(t, err)
		if got, err := w.ListClusterSummaries(t.Context()); err == nil || len(got) != 0 {
			t.Errorf("%.30q: %v, %v", value, got, err)
		}
	}
}
