package snapshot

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/etcdtest"
)

func newTestManager(t *testing.T) *Manager {
	t.Helper()
	return New(Options{ServerDir: t.TempDir(), NodeName: "Head.example", TokenHash: "0123456789ab",
		Etcd: etcdtest.Start(t).Client, Name: DefaultName, Retention: DefaultRetention, Schedule: DefaultSchedule,
		Reconcile: time.Hour})
}

// ask sends a request as the command does.
func ask(t *testing.T, m *Manager, request string) (int, string) {
	t.Helper()
	// Nothing serves resources here.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodPost, "/db/snapshot", strings.NewReader(request)))
	return w.Code, strings.TrimSpace(w.Body.String())
}

// writeSnapshot makes a file that passes for a snapshot of this second.
func writeSnapshot(t *testing.T, m *Manager, prefix string, seconds int64) string {
	t.Helper()
	dir, err := m.opts.findDir()
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("%s-%s-%d", prefix, m.opts.NodeName, seconds)
	if err := os.WriteFile(filepath.Join(dir, name), make([]byte, 20000), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func listNames(t *testing.T, m *Manager) []string {
	t.Helper()
	files, err := m.opts.listFiles()
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, file := range files {
		names = append(names, file.Name)
	}
	slices.Sort(names)
	return names
}

func TestSavedSnapshotsAreListedAndDeleted(t *testing.T) {
	m := newTestManager(t)
	close(m.served) // resources are written, and fail: that is no error of a snapshot
	m.api = newFakeAPI(t, http.NotFoundHandler())
	code, answer := ask(t, m, `{"operation":"save","name":["mine"],"retention":0}`)
	var done result
	if err := json.Unmarshal([]byte(answer), &done); code != http.StatusOK || err != nil || len(done.Created) != 1 ||
		!strings.HasPrefix(done.Created[0], "mine-Head.example-") {
		t.Fatalf("save: %d %s, %v", code, answer, err)
	}
	name := done.Created[0]
	path := filepath.Join(m.opts.ServerDir, "db", "snapshots", name)
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	dir, _ := os.Stat(filepath.Dir(path))
	if dir.Mode().Perm() != 0o700 {
		t.Errorf("the directory's mode is %v", dir.Mode())
	}
	var list ResourceList
	if _, answer = ask(t, m, `{"operation":"list"}`); json.Unmarshal([]byte(answer), &list) != nil ||
		len(list.Items) != 1 {
		t.Fatalf("list: %s", answer)
	}
	item := list.Items[0]
	if item.Spec.SnapshotName != name || item.Spec.Location != "file://"+path ||
		int64(item.Status.Size) != info.Size() || item.Metadata.Name != "local-"+name || !item.Status.ReadyToUse {
		t.Errorf("the list has %+v", item)
	}
	if code, answer := ask(t, m, `{"operation":"delete","name":["`+name+`","other"]}`); code != http.StatusOK ||
		answer != `{"deleted":["`+name+`"]}` {
		t.Errorf("delete: %d %s", code, answer)
	}
	if _, answer := ask(t, m, `{"operation":"list"}`); !strings.Contains(answer, `"items":[]`) {
		t.Errorf("after it: %s", answer)
	}
	if code, _ := ask(t, m, `{"operation":"delete","name":["../etcd/name"]}`); code == http.StatusOK {
		t.Error("a path is accepted as a name")
	}
}

func TestASaveThatFailsLeavesNoFileAndNamesNone(t *testing.T) {
	m := newTestManager(t)
	if code, answer := ask(t, m, `{"operation":"save","dir":"/nonexistent"}`); code != http.StatusInternalServerError {
		t.Errorf("into a directory that is missing: %d %s", code, answer)
	}
	var published []string
	m.api = newFakeAPI(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch && strings.HasPrefix(r.URL.Path, resourcesPath) {
			var sent bytes.Buffer
			_, _ = sent.ReadFrom(r.Body)
			published = append(published, sent.String())
		}
		http.NotFound(w, r)
	}))
	close(m.served)
	// A directory has the place of the file that is written first.
	now := time.Now().Unix()
	for i := range int64(300) { // the save may be late on a busy computer
		part := filepath.Join(m.opts.ServerDir, "db", "snapshots", fmt.Sprintf("mine-Head.example-%d.part", now+i))
		if err := os.MkdirAll(filepath.Join(part, "x"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	code, answer := ask(t, m, `{"operation":"save","name":["mine"]}`)
	if code != http.StatusOK || answer != "{}" {
		t.Errorf("got %d %s", code, answer)
	}
	if len(published) != 1 || !strings.Contains(published[0], `"readyToUse":false`) ||
		!strings.Contains(published[0], "could not open") {
		t.Errorf("published: %s", published)
	}
}

func TestPruneKeepsTheNewestOfAName(t *testing.T) {
	m := New(Options{ServerDir: t.TempDir(), NodeName: "head", Name: DefaultName, Retention: 1})
	for seconds := range int64(4) {
		writeSnapshot(t, m, "mine", 1700000000+seconds)
	}
	other := writeSnapshot(t, m, OnDemandName, 1600000000)
	code, answer := ask(t, m, `{"operation":"prune","name":["mine"],"retention":2}`)
	want := `{"deleted":["mine-head-1700000001","mine-head-1700000000"]}`
	if code != http.StatusOK || answer != want {
		t.Errorf("prune: %d %s, want %s", code, answer, want)
	}
	left := []string{"mine-head-1700000002", "mine-head-1700000003", other}
	if got := listNames(t, m); !reflect.DeepEqual(got, left) {
		t.Errorf("left are %v, want %v", got, left)
	}
}

func TestTheScheduleTakesSnapshotsAndKeepsTheNewest(t *testing.T) {
	m := newTestManager(t)
	m.opts.Schedule, m.opts.Retention, m.opts.Compress = "@every 1s", 1, true
	m.api = newFakeAPI(t, http.NotFoundHandler())
	close(m.served)
	onDemand, old := writeSnapshot(t, m, OnDemandName, 1600000000), writeSnapshot(t, m, DefaultName, 1600000000)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	m.Schedule(ctx)
	deadline := time.Now().Add(2 * time.Minute)
	for names := listNames(t, m); ; names = listNames(t, m) {
		taken := slices.ContainsFunc(names, func(name string) bool {
			return strings.HasPrefix(name, DefaultName) && strings.HasSuffix(name, zipSuffix)
		})
		if taken && !slices.Contains(names, old) {
			if !slices.Contains(names, onDemand) {
				t.Errorf("%s was removed: %v", onDemand, names)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after 2 minutes there are %v", names)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestAnArchiveHasTheSnapshotInIt(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "mine-head-1700000000")
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	archive, err := compress(path, time.Unix(1700000000, 0))
	if err != nil || archive != path+".zip" {
		t.Fatalf("%s, %v", archive, err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the file that was compressed is left")
	}
	target := t.TempDir()
	restored, err := Decompress(archive, target)
	if data, _ := os.ReadFile(restored); err != nil || string(data) != "content" || filepath.Dir(restored) != target {
		t.Errorf("%s, %v, contains %q", restored, err, data)
	}
	if same, err := Decompress(restored, target); same != restored || err != nil {
		t.Errorf("of a file that is no archive: %s, %v", same, err)
	}
}

func TestSizesAreKubernetesQuantities(t *testing.T) {
	for _, n := range []int64{0, 1, 999, 1000, 20480032, 20480000, 5000000, 7 * 1000 * 1000 * 1000} {
		data, err := json.Marshal(Size(n))
		want := `"` + resource.NewQuantity(n, resource.DecimalSI).String() + `"`
		if err != nil || string(data) != want {
			t.Errorf("%d is %s, %v, want %s", n, data, err, want)
		}
		var back Size
		if err := json.Unmarshal(data, &back); err != nil || int64(back) != n {
			t.Errorf("%s is read as %d, %v", data, back, err)
		}
	}
	if err := json.Unmarshal([]byte(`"1Ki"`), new(Size)); err == nil {
		t.Error("1Ki is read")
	}
}

func TestResourceNamesAreValidAndDiffer(t *testing.T) {
	at := time.Unix(1700000000, 0)
	file := File{Name: "Mine-Head-1700000000", NodeName: "head", Location: "file:///a", Created: at}
	if got := file.resourceName(); got != "local-mine-head-1700000000-"+got[len(got)-6:] {
		t.Errorf("got %s", got)
	}
	other := file
	other.Location = "file:///b"
	if file.resourceName() == other.resourceName() {
		t.Error("two places have the same name")
	}
	file.Name = "under_score-head-1700000000.zip"
	if got := file.resourceName(); !strings.HasPrefix(got, "local-etcd-snapshot-head-1700000000.zip-") {
		t.Errorf("got %s", got)
	}
}
