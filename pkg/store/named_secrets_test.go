package store_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/fixture"
)

func (w world) writeSecret(t *testing.T, name, key, value string) api.NamedSecret {
	t.Helper()
	n, err := w.WriteNamedSecret(t.Context(), name, map[string][]byte{key: []byte(value)}, true, fixture.Noon)
	must(t, err)
	return n
}

// createUsing creates a cluster whose registry takes its credentials from a secret.
func (w world) createUsing(t *testing.T, cluster, secret string) error {
	c := api.NewCluster(cluster, "uid-"+cluster, api.GroupSpec{Provision: true, NumNodes: 1}, nil, fixture.Noon)
	c.Spec.RKE2.Registries = []api.Registry{{Host: "r.example.com", Secret: secret}}
	_, err := w.CreateCluster(t.Context(), c)
	return err
}

func TestNamedSecretIsEncryptedAndListedWithoutItsValues(t *testing.T) {
	w := newWorld(t)
	w.writeSecret(t, "login", "password", hush)
	_, err := w.WriteNamedSecret(t.Context(), "login", map[string][]byte{"a": []byte("x")}, false, fixture.Noon)
	wantErr[*store.SecretExistsError](t, err)
	later := fixture.Noon.Add(time.Hour)
	_, err = w.WriteNamedSecret(t.Context(), "login", map[string][]byte{"username": []byte("anna"),
		"password": []byte(hush), "raw": {0, 0xff}}, true, later)
	must(t, err)
	for path, value := range w.raw(t) {
		for _, trace := range []string{hush, base64.StdEncoding.EncodeToString([]byte(hush)), "anna"} {
			if strings.Contains(path+value, trace) {
				t.Errorf("%s contains the secret: %s", path, value)
			}
		}
	}
	keyless := open(t, w.prefix, nil)
	all, err := keyless.ListNamedSecrets(t.Context())
	must(t, err)
	if len(all) != 1 || fmt.Sprint(all[0].Keys) != fmt.Sprintf("[{password %d} {raw 2} {username 4}]", len(hush)) ||
		!all[0].CreatedAt.Equal(fixture.Noon) || !all[0].UpdatedAt.Equal(later) || all[0].Size() != len(hush)+6 {
		t.Errorf("%+v", all)
	}
	read, err := w.ReadNamedSecret(t.Context(), "login")
	must(t, err)
	if string(read.Values["password"]) != hush || !bytes.Equal(read.Values["raw"], []byte{0, 0xff}) {
		t.Errorf("read %v", read)
	}
	if _, err := keyless.ReadNamedSecret(t.Context(), "login"); !errors.Is(err, store.ErrNoKey) {
		t.Errorf("without a key: %v", err)
	}
	stranger := open(t, w.prefix, testKey("b"))
	wantErr[*store.WrongKeyError](t, second(stranger.ReadNamedSecret(t.Context(), "login")))
	wantErr[*store.SecretMissingError](t, second(w.ReadNamedSecret(t.Context(), "other")))
}

func TestInvalidNamedSecretIsNotWritten(t *testing.T) {
	w := newWorld(t)
	for want, write := range map[string]map[string]map[string][]byte{
		"name of a secret": {"Log in": {"a": []byte("x")}, "a/b": {"a": []byte("x")}, "": {"a": []byte("x")}},
		"key of a secret":  {"a": {"a/b": []byte("x")}, "b": {"": []byte("x")}},
		"not empty":        {"a": {"k": nil}},
		"at least one":     {"a": {}},
		"at most 64 KiB":   {"a": {"k": make([]byte, 40<<10), "l": make([]byte, 30<<10)}},
	} {
		for name, values := range write {
			_, err := w.WriteNamedSecret(t.Context(), name, values, false, fixture.Noon)
			if e := wantErr[*api.FieldError](t, err); !strings.Contains(e.Want, want) {
				t.Errorf("%q: %v", name, err)
			}
		}
	}
	if raw := w.raw(t); len(raw) != 0 {
		t.Errorf("written: %v", raw)
	}
	for i := range 16 {
		w.writeSecret(t, fmt.Sprintf("full-%d", i), "k", strings.Repeat("x", api.MaxSecretBytes))
	}
	_, err := w.WriteNamedSecret(t.Context(), "more", map[string][]byte{"k": []byte("x")}, false, fixture.Noon)
	if e := wantErr[*api.FieldError](t, err); !strings.Contains(e.Want, "at most 1024 KiB in all") {
		t.Error(err)
	}
	w.writeSecret(t, "full-3", "k", strings.Repeat("y", api.MaxSecretBytes)) // replaces as much
}

func TestSecretsKeyIsNeededForNamedSecretsToo(t *testing.T) {
	w := newWorld(t)
	if has, err := w.HasSecrets(t.Context()); err != nil || has {
		t.Fatalf("%v, %v", has, err)
	}
	w.writeSecret(t, "login", "password", hush)
	if has, err := w.HasSecrets(t.Context()); err != nil || !has {
		t.Errorf("a named secret is not seen: %v", err)
	}
	stranger := open(t, w.prefix, testKey("b"))
	wantErr[*store.OtherKeyError](t, stranger.CheckSecretsKey(t.Context(), fixture.Noon))
	wantErr[*store.OtherKeyError](t, stranger.RequireSecretsKey(t.Context()))
	must(t, w.RequireSecretsKey(t.Context()))
	must(t, w.CheckSecretsKey(t.Context(), fixture.Noon))
	must(t, w.DeleteNamedSecret(t.Context(), "login", false))
	wantErr[*store.OtherKeyError](t, stranger.RequireSecretsKey(t.Context()))
}

func TestSecretThatAClusterUsesIsNotDeleted(t *testing.T) {
	w := newWorld(t)
	if e := wantErr[*store.SecretMissingError](t, w.createUsing(t, "a", "login")); e.Name != "login" {
		t.Error(e)
	}
	w.writeSecret(t, "login", "token", hush)
	w.writeSecret(t, "other", "token", hush)
	must(t, w.createUsing(t, "a", "login"))
	must(t, w.createUsing(t, "b", "login"))
	if e := wantErr[*store.SecretInUseError](t, w.DeleteNamedSecret(t.Context(), "login", false)); fmt.Sprint(
		e.Clusters) != "[a b]" {
		t.Error(e)
	}
	must(t, w.DeleteNamedSecret(t.Context(), "other", false))
	must(t, w.DeleteNamedSecret(t.Context(), "login", true))
	wantErr[*store.SecretMissingError](t, w.DeleteNamedSecret(t.Context(), "login", true))
	wantErr[*store.SecretMissingError](t, second(w.ReadNamedSecret(t.Context(), "login")))
}

func TestSecretThatOpensSnapshotsIsNotDeleted(t *testing.T) {
	w := newWorld(t)
	w.writeSecret(t, "bucket-login", "access_key", hush)
	w.writeSecret(t, "other-login", "access_key", hush)
	spec := &api.ClusterSpec{Snapshots: api.SnapshotPolicy{S3URL: "s3://b", S3Secret: "bucket-login"}}
	must(t, w.CreateSnapshot(t.Context(), api.Snapshot{Name: "here", Cluster: "old", ClusterUID: "u-1", Spec: spec,
		Place: api.SnapshotPlaceSkyd, Object: "u-1/here", State: api.SnapshotKept}))
	must(t, w.CreateSnapshot(t.Context(), api.Snapshot{Name: "wanted", Cluster: "old", ClusterUID: "u-1", Spec: spec,
		State: api.SnapshotWanted}))
	for i := range 5 {
		must(t, w.CreateSnapshot(t.Context(), api.Snapshot{Name: fmt.Sprintf("s%d", i), Cluster: "old",
			ClusterUID: "u-1", Spec: spec, Place: "s3://b", Object: "u-1/s", State: api.SnapshotKept}))
	}
	e := wantErr[*store.SecretInUseError](t, w.DeleteNamedSecret(t.Context(), "bucket-login", false))
	if len(e.Snapshots) != 5 || !strings.HasSuffix(e.Error(), "old/s0, old/s1, old/s2 and 2 more; --force deletes it "+
		"anyway") {
		t.Error(e)
	}
	must(t, w.DeleteNamedSecret(t.Context(), "other-login", false))
	for i := range 5 {
		must(t, w.ForgetSnapshot(t.Context(), api.Ref{Name: "old", UID: "u-1"}, fmt.Sprintf("s%d", i)))
	}
	must(t, w.DeleteNamedSecret(t.Context(), "bucket-login", false))
}

// TestDeleteAndCreateAtOnceLeaveNoClusterWithoutItsSecret has both race for many secrets.
func TestDeleteAndCreateAtOnceLeaveNoClusterWithoutItsSecret(t *testing.T) {
	w := newWorld(t)
	for i := range 25 {
		name := fmt.Sprintf("s%d", i)
		w.writeSecret(t, name, "token", hush)
		var created, deleted error
		var wg sync.WaitGroup
		wg.Go(func() { created = w.createUsing(t, "c-"+name, name) })
		wg.Go(func() { deleted = w.DeleteNamedSecret(t.Context(), name, false) })
		wg.Wait()
		if (created == nil) == (deleted == nil) {
			t.Fatalf("create: %v, delete: %v", created, deleted)
		}
	}
}

func TestConcurrentWritesOfSecretsStayWithinTheLimit(t *testing.T) {
	w := newWorld(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	stored, refused := 0, 0
	for i := range 20 {
		wg.Go(func() {
			_, err := w.WriteNamedSecret(t.Context(), fmt.Sprintf("s%d", i),
				map[string][]byte{"k": make([]byte, api.MaxSecretBytes)}, false, fixture.Noon)
			mu.Lock()
			defer mu.Unlock()
			if full := new(api.FieldError); errors.As(err, &full) {
				refused++
			} else if err == nil {
				stored++
			} else {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if stored != 16 || refused != 4 {
		t.Errorf("%d are stored, %d refused", stored, refused)
	}
}

func TestValuesOfNamedSecretsAreHidden(t *testing.T) {
	w := newWorld(t)
	w.writeSecret(t, "hidden", "password", "a-password-of-a-registry")
	w.writeSecret(t, "hidden", "url", "http://anna:pa55-word@proxy.example.com:3128")
	text := redact.Text("got a-password-of-a-registry, and pa55-word of http://anna:pa55-word@proxy.example.com:3128")
	if strings.Contains(text, "password") || strings.Contains(text, "pa55") {
		t.Error(text)
	}
}
