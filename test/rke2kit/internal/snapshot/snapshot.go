// Package snapshot takes, lists and removes snapshots of a server's etcd, by a schedule and on demand, and shows them
// as ETCDSnapshotFile resources.
package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/etcd"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/kubeapi"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/logline"
)

// RKE2's defaults.
const (
	DefaultSchedule  = "0 */12 * * *"
	DefaultRetention = 5
	DefaultName      = "etcd-snapshot"
	OnDemandName     = "on-demand"
	DefaultReconcile = 10 * time.Minute
)

const (
	zipSuffix   = ".zip"
	metadataDir = ".metadata"
)

// Options are a server's settings.
type Options struct {
	ServerDir string // <data-dir>/server
	NodeName  string
	TokenHash string
	Etcd      *etcd.Client

	Disabled  bool // no schedule; commands work
	Schedule  string
	Retention int
	Dir       string // empty is ServerDir/db/snapshots
	Name      string
	Compress  bool
	Reconcile time.Duration // between comparisons of disk and resources
}

// Manager takes snapshots of one server. Use New.
type Manager struct {
	opts   Options
	api    *kubeapi.Client // set by Run, before served is closed
	served chan struct{}   // the apiserver has the kind of the resources
	saving sync.Mutex
}

// New returns a manager that can save at once. Resources follow when Run has the apiserver.
func New(opts Options) *Manager {
	return &Manager{opts: opts, served: make(chan struct{})}
}

// request is what a command may change for itself. The names are those of RKE2's request.
type request struct {
	Operation string   `json:"operation"`
	Name      []string `json:"name,omitempty"`
	Dir       *string  `json:"dir,omitempty"`
	Compress  *bool    `json:"compress,omitempty"`
	Retention *int     `json:"retention,omitempty"`
}

// result names the files that an operation created and deleted.
type result struct {
	Created []string `json:"created,omitempty"`
	Deleted []string `json:"deleted,omitempty"`
}

// withRequest returns the server's options as a command wants them.
func (o Options) withRequest(r request) Options {
	if len(r.Name) > 0 {
		o.Name = r.Name[0]
	}
	if r.Dir != nil {
		o.Dir = *r.Dir
	}
	if r.Compress != nil {
		o.Compress = *r.Compress
	}
	if r.Retention != nil {
		o.Retention = *r.Retention
	}
	return o
}

// findDir returns the directory of snapshots. Only the default one is created.
func (o Options) findDir() (string, error) {
	standard := filepath.Join(o.ServerDir, "db", "snapshots")
	dir := o.Dir
	if dir == "" || dir == standard {
		dir = standard
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", fmt.Errorf("failed to get etcd-snapshot-dir: %w", err)
		}
	}
	info, err := os.Stat(dir)
	if err != nil {
		return "", fmt.Errorf("failed to get etcd-snapshot-dir: %w", err)
	}
	if !info.IsDir() {
		return "", fmt.Errorf("failed to get etcd-snapshot-dir: %s is not a directory", dir)
	}
	return dir, nil
}

// save takes one snapshot and removes old ones of its name. As in RKE2, a snapshot that fails is no error here: it has
// a resource with the error, and no file is named.
func (m *Manager) save(ctx context.Context, o Options) (*result, error) {
	if !m.saving.TryLock() {
		return nil, errors.New("snapshot save already in progress")
	}
	defer m.saving.Unlock()
	dir, err := o.findDir()
	if err != nil {
		return nil, err
	}
	now := time.Now().Round(time.Second)
	file := File{Name: fmt.Sprintf("%s-%s-%d", o.Name, o.NodeName, now.Unix()), NodeName: o.NodeName, Created: now,
		Metadata: m.readExtraMetadata(ctx)}
	path := filepath.Join(dir, file.Name)
	logline.Infof("Saving etcd snapshot to %s", path)
	out := &result{}
	if err := o.Etcd.SaveSnapshot(ctx, path); err != nil {
		logline.Errorf("Failed to take etcd snapshot: %v", err)
		file.Failure = err.Error()
		m.publish(ctx, file)
		return out, nil
	}
	if o.Compress {
		if path, err = compress(path, now); err != nil {
			return nil, fmt.Errorf("failed to compress snapshot: %w", err)
		}
		file.Name = filepath.Base(path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("unable to retrieve snapshot information from local snapshot: %w", err)
	}
	file.Location, file.Size, file.TokenHash = "file://"+path, info.Size(), o.TokenHash
	out.Created = []string{file.Name}
	if err := writeMetadata(path, file.Metadata); err != nil {
		logline.Warnf("Failed to save local snapshot metadata: %v", err)
	}
	m.publish(ctx, file)
	if out.Deleted, err = applyRetention(dir, o.Name, o.Retention); err != nil {
		logline.Warnf("Failed to apply local snapshot retention policy: %v", err)
	}
	return out, nil
}

// metadataPath is where the metadata of a snapshot is kept.
func metadataPath(path string) string {
	return filepath.Join(filepath.Dir(path), "..", metadataDir, filepath.Base(path))
}

func writeMetadata(path string, metadata map[string]string) error {
	if len(metadata) == 0 {
		return nil
	}
	data, err := json.Marshal(metadata)
	if err != nil {
		return err
	}
	file := metadataPath(path)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o700)
}

// extraMetadataPath is the ConfigMap whose data goes with each snapshot.
const extraMetadataPath = "/api/v1/namespaces/kube-system/configmaps/rke2-etcd-snapshot-extra-metadata"

func (m *Manager) readExtraMetadata(ctx context.Context) map[string]string {
	if !m.isServed() {
		return nil
	}
	var found struct {
		Data map[string]string `json:"data"`
	}
	if err := m.api.CallJSON(ctx, http.MethodGet, extraMetadataPath, nil, &found); err != nil {
		if !kubeapi.HasStatusCode(err, http.StatusNotFound) {
			logline.Warnf("read extra metadata of snapshots: %v", err)
		}
		return nil
	}
	return found.Data
}

// remove deletes the named snapshots; those that are not there are not in the result.
func (m *Manager) remove(o Options, names []string) (*result, error) {
	for _, name := range names {
		if filepath.Base(name) != name {
			return nil, errors.New("invalid snapshot name: path traversal not allowed")
		}
	}
	dir, err := o.findDir()
	if err != nil {
		return nil, err
	}
	out := &result{}
	for _, name := range names {
		err := removeFile(filepath.Join(dir, name))
		switch {
		case err == nil:
			out.Deleted = append(out.Deleted, name)
			logline.Infof("Snapshot %s deleted locally", name)
		case errors.Is(err, fs.ErrNotExist):
			logline.Infof("Snapshot %s not found locally", name)
		default:
			logline.Errorf("Failed to delete local snapshot %s: %v", name, err)
		}
	}
	return out, nil
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	if err := os.Remove(metadataPath(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// prune removes old snapshots beyond the retention.
func (m *Manager) prune(o Options) (*result, error) {
	dir, err := o.findDir()
	if err != nil {
		return nil, err
	}
	deleted, err := applyRetention(dir, o.Name, o.Retention)
	if err != nil {
		logline.Errorf("Error applying snapshot retention policy: %v", err)
	}
	return &result{Deleted: deleted}, nil
}

// isServed tells whether the apiserver has the kind of the resources.
func (m *Manager) isServed() bool {
	select {
	case <-m.served:
		return true
	default:
		return false
	}
}

func isCompressed(name string) bool { return strings.HasSuffix(name, zipSuffix) }
