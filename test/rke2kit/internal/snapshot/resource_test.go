package snapshot

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/kubeapi"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/pki"
)

func newFakeAPI(t *testing.T, handler http.Handler) *kubeapi.Client {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	dir := t.TempDir()
	ca := filepath.Join(dir, "server.crt")
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, data, 0o600); err != nil {
		t.Fatal(err)
	}
	clients, err := pki.LoadOrCreateCA(dir, "client-ca", "client-ca")
	if err != nil {
		t.Fatal(err)
	}
	if err := clients.IssueTo(filepath.Join(dir, "client"), pki.Leaf{CommonName: "client", Client: true}); err != nil {
		t.Fatal(err)
	}
	api, err := kubeapi.New(server.URL, ca, filepath.Join(dir, "client.crt"), filepath.Join(dir, "client.key"))
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// resources is an apiserver for ETCDSnapshotFiles, a ConfigMap of metadata and one Node.
type resources struct {
	mu    sync.Mutex
	items map[string]Resource
	node  string // the last patch
}

func (f *resources) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name, one := strings.CutPrefix(r.URL.Path, resourcesPath+"/")
	var body json.RawMessage
	_ = json.NewDecoder(r.Body).Decode(&body)
	switch {
	case one && r.Method == http.MethodPatch:
		var item Resource
		_ = json.Unmarshal(body, &item)
		f.items[name] = item
	case one && r.Method == http.MethodDelete:
		delete(f.items, name)
	case r.URL.Path == resourcesPath:
		_ = json.NewEncoder(w).Encode(ResourceList{Items: f.selectItems(r.URL.Query().Get("labelSelector"))})
	case r.URL.Path == extraMetadataPath:
		_, _ = w.Write([]byte(`{"data":{"uid":"one"}}`))
	case r.URL.Path == "/api/v1/nodes":
		_, _ = w.Write([]byte(`{"items":[]}`))
	case r.Method == http.MethodPatch:
		f.node = r.URL.Path + string(body)
	default:
		http.NotFound(w, r)
	}
}

// selectItems knows the two forms of selectors that the manager uses.
func (f *resources) selectItems(selector string) []Resource {
	out := []Resource{}
	for _, item := range f.items {
		_, set, some := strings.Cut(selector, "in (")
		listed := strings.Contains(","+strings.TrimSuffix(set, ")")+",", ","+item.Metadata.Labels[nodeLabel]+",")
		if !some || listed != strings.Contains(selector, "notin (") {
			out = append(out, item)
		}
	}
	return out
}

func (f *resources) find(snapshotName string) (Resource, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, item := range f.items {
		if item.Spec.SnapshotName == snapshotName {
			return item, true
		}
	}
	return Resource{}, false
}

func TestResourcesFollowTheFiles(t *testing.T) {
	m := newTestManager(t)
	kept := writeSnapshot(t, m, OnDemandName, 1700000000)
	gone := File{Name: "gone", NodeName: m.opts.NodeName, Created: time.Unix(1600000000, 0)}
	elsewhere := File{Name: "elsewhere", NodeName: "removed", Created: time.Unix(1600000000, 0)}
	failed := File{Name: "failed", NodeName: m.opts.NodeName, Created: time.Now(), Failure: "no space"}
	fake := &resources{items: map[string]Resource{}}
	for _, file := range []File{gone, elsewhere, failed} {
		fake.items[file.resourceName()] = file.toResource(file.resourceName())
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go m.ReconcileUntil(ctx, newFakeAPI(t, fake))
	<-m.served
	out, err := m.perform(ctx, request{Operation: opSave})
	if err != nil {
		t.Fatal(err)
	}
	taken, ok := fake.find(out.(*result).Created[0])
	if !ok || taken.Metadata.Annotations[tokenAnnotation] != "0123456789ab" || taken.Spec.Metadata["uid"] != "one" ||
		taken.Metadata.Labels[nodeLabel] != m.opts.NodeName {
		t.Errorf("the resource of the new snapshot is %+v", taken)
	}
	for name, want := range map[string]bool{kept: true, "gone": false, "elsewhere": false, "failed": true} {
		if _, got := fake.find(name); got != want {
			t.Errorf("%s has a resource: %v, want %v", name, got, want)
		}
	}
	if !strings.HasPrefix(fake.node, "/api/v1/nodes/"+m.opts.NodeName) ||
		!strings.Contains(fake.node, comparedAnnotation) {
		t.Errorf("the node got %s", fake.node)
	}
}
