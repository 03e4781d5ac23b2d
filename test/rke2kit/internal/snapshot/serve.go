package snapshot

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/kubeapi"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/logline"
)

// The operations of a request.
const (
	opSave   = "save"
	opList   = "list"
	opPrune  = "prune"
	opDelete = "delete"
)

// retryInterval is the pace of tries until the apiserver has the kind of the resources.
const retryInterval = 200 * time.Millisecond

// Schedule takes snapshots until ctx ends. A schedule that cannot be read takes none, as in RKE2, and is logged.
func (m *Manager) Schedule(ctx context.Context) {
	if m.opts.Disabled {
		logline.Infof("ETCD snapshots are disabled")
		return
	}
	clock := cron.New(cron.WithChain(cron.SkipIfStillRunning(cron.DiscardLogger)))
	_, err := clock.AddFunc(m.opts.Schedule, func() {
		if _, err := m.saveAndReconcile(ctx, m.opts); err != nil {
			logline.Errorf("Failed to take scheduled snapshot: %v", err)
		}
	})
	if err != nil {
		logline.Errorf("etcd-snapshot-schedule-cron %q: %v; no snapshots are taken by schedule", m.opts.Schedule, err)
		return
	}
	clock.Start()
	go func() {
		<-ctx.Done()
		clock.Stop()
	}()
}

// ReconcileUntil compares the resources with the disk at once and then at the interval, until ctx ends.
func (m *Manager) ReconcileUntil(ctx context.Context, api *kubeapi.Client) {
	m.api = api
	for {
		err := m.forEachResource(ctx, nodeLabel, func(Resource) {})
		if err == nil {
			break
		}
		if !sleepFor(ctx, retryInterval) {
			return
		}
	}
	close(m.served)
	for {
		if err := m.reconcile(ctx, m.opts, nil); err != nil && ctx.Err() == nil {
			logline.Warnf("reconcile ETCDSnapshotFile resources: %v", err)
		}
		if !sleepFor(ctx, m.opts.Reconcile) {
			return
		}
	}
}

func sleepFor(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func (m *Manager) saveAndReconcile(ctx context.Context, o Options) (*result, error) {
	out, err := m.save(ctx, o)
	if err != nil {
		return out, err
	}
	return out, m.reconcileIfServed(ctx, o, out.Deleted)
}

func (m *Manager) reconcileIfServed(ctx context.Context, o Options, deleted []string) error {
	if !m.isServed() {
		return nil
	}
	return m.reconcile(ctx, o, deleted)
}

// ServeHTTP does what a command asks for. The caller has checked who asks.
func (m *Manager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	var req request
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&req); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer, err := m.perform(r.Context(), req)
	if err != nil {
		logline.Warnf("Error in etcd-snapshot handler: %v", err)
	}
	if answer == nil {
		http.Error(w, fmt.Sprint(err), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// perform returns the answer; nil if there is none. With an error and an answer, what the answer says has been done.
func (m *Manager) perform(ctx context.Context, req request) (any, error) {
	o := m.opts.withRequest(req)
	var out *result
	var err error
	switch req.Operation {
	case opList:
		return listResources(o)
	case opSave:
		out, err = m.save(ctx, o)
	case opPrune:
		out, err = m.prune(o)
	case opDelete:
		out, err = m.remove(o, req.Name)
	default:
		return nil, fmt.Errorf("invalid snapshot operation %q", req.Operation)
	}
	if err != nil {
		return nil, err
	}
	return out, m.reconcileIfServed(ctx, o, out.Deleted)
}

func listResources(o Options) (any, error) {
	files, err := o.listFiles()
	if err != nil {
		return nil, err
	}
	list := ResourceList{Kind: "List", APIVersion: "v1", Items: []Resource{}}
	for _, file := range files {
		list.Items = append(list.Items, file.toResource(file.listName()))
	}
	return list, nil
}
