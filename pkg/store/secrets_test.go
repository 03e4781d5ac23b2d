package store_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/store"
)

const hush = "K10-very-secret-token-that-nobody-may-see"

func TestSecretIsEncryptedInEtcd(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	must(t, w.PutSecret(t.Context(), r, store.SecretAgentToken, []byte(hush)))
	got, err := w.ReadSecret(t.Context(), r, store.SecretAgentToken)
	must(t, err)
	if string(got) != hush {
		t.Errorf("got %q", got)
	}
	key := testKey("a")
	for path, value := range w.raw(t) {
		for _, trace := range []string{hush, base64.StdEncoding.EncodeToString([]byte(hush)),
			hex.EncodeToString([]byte(hush)),
			string(key), hex.EncodeToString(key), base64.StdEncoding.EncodeToString(key)} {
			if strings.Contains(path+value, trace[:12]) {
				t.Errorf("%s contains the secret or its key: %s", path, value)
			}
		}
	}
	first := w.raw(t)["/secrets/u1/agent-token"]
	must(t, w.PutSecret(t.Context(), r, store.SecretAgentToken, []byte(hush)))
	if w.raw(t)["/secrets/u1/agent-token"] == first {
		t.Error("a secret is encrypted to the same text twice")
	}
}

func TestSecretsOfAnyBytesRoundTrip(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	for i, in := range [][]byte{{}, {0}, bytes.Repeat([]byte{0xff}, 100_000)} {
		must(t, w.PutSecret(t.Context(), r, fmt.Sprint(i), in))
		got, err := w.ReadSecret(t.Context(), r, fmt.Sprint(i))
		must(t, err)
		if !bytes.Equal(got, in) {
			t.Errorf("wrote %d bytes, read %d", len(in), len(got))
		}
	}
}

func TestSecretOpensOnlyUnderItsPathAndKey(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	must(t, w.PutSecret(t.Context(), r, "one", []byte(hush)))
	sealed := w.raw(t)["/secrets/u1/one"]
	other := w.created(t, "b", "u2")
	put := func(path, value string) {
		_, err := w.etcd.Put(t.Context(), w.prefix+path, value)
		must(t, err)
	}
	silent := func(err error) {
		t.Helper()
		if strings.Contains(err.Error(), "K10") || strings.Contains(err.Error(), sealed[60:80]) ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("the error contains the secret: %v", err)
		}
	}

	put("/secrets/u2/one", sealed) // under another cluster
	err := wantErr[*store.CorruptError](t, second(w.ReadSecret(t.Context(), other, "one")))
	silent(err)
	put("/secrets/u1/two", sealed) // under another name
	silent(wantErr[*store.CorruptError](t, second(w.ReadSecret(t.Context(), r, "two"))))
	put("/secrets/u1/two", "plain "+hush)
	silent(wantErr[*store.CorruptError](t, second(w.ReadSecret(t.Context(), r, "two"))))

	stranger := open(t, w.prefix, testKey("b"))
	wrong := wantErr[*store.WrongKeyError](t, second(stranger.ReadSecret(t.Context(), r, "one")))
	silent(wrong)
	if !strings.Contains(wrong.Error(), "another secrets key") ||
		!strings.Contains(wrong.Error(), "set secretsKeyFile") || !strings.Contains(wrong.Error(), wrong.Need) ||
		wrong.Need == wrong.Have {
		t.Errorf("got error %q", wrong)
	}
	keyless := open(t, w.prefix, nil)
	if _, err := keyless.ReadSecret(t.Context(), r, "one"); !errors.Is(err, store.ErrNoKey) {
		t.Errorf("without a key: %v", err)
	}
	if err := keyless.PutSecret(t.Context(), r, "one", []byte(hush)); !errors.Is(err, store.ErrNoKey) {
		t.Errorf("without a key: %v", err)
	}
	missing := wantErr[*store.NotFoundError](t, second(w.ReadSecret(t.Context(), r, store.SecretKubeconfig)))
	if missing.Error() != `cluster "a" has no secret kubeconfig` {
		t.Errorf("got error %q", missing)
	}
}

func TestConcurrentCreatesReturnOneSecret(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	got := make([]string, 20)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			value, err := w.CreateSecret(t.Context(), r, store.SecretSSHKey, []byte(fmt.Sprintf("key %d", i)))
			if err != nil {
				t.Error(err)
			}
			got[i] = string(value)
		})
	}
	wg.Wait()
	stored, err := w.ReadSecret(t.Context(), r, store.SecretSSHKey)
	must(t, err)
	for _, g := range got {
		if g != string(stored) {
			t.Fatalf("stored %q, some got %q", stored, g)
		}
	}
}

func TestReadingASecretRedactsAllOfTheCluster(t *testing.T) {
	w := newWorld(t)
	r, other := w.created(t, "a", "u1-learn"), w.created(t, "b", "u2-learn")
	restarted := open(t, w.prefix, testKey("a"))
	for i, ref := range []api.Ref{r, r, other} {
		must(t, w.PutSecret(t.Context(), ref, fmt.Sprintf("key-%d", i), []byte(fmt.Sprintf("the-secret-value-%d", i))))
	}
	redact.ForgetOwner(r.UID) // as in a new process
	redact.ForgetOwner(other.UID)
	seen := func() string { return redact.Text("the-secret-value-0 the-secret-value-1 the-secret-value-2") }
	if got := seen(); strings.Contains(got, redact.Hidden) {
		t.Fatalf("redacted before the first read: %s", got)
	}
	_, err := restarted.ReadSecret(t.Context(), r, "key-0")
	must(t, err)
	if got := seen(); got != "[hidden] the-secret-value-2" {
		t.Errorf("got %q", got)
	}
	must(t, restarted.PutSecret(t.Context(), other, "new", []byte("another-secret-value")))
	if got := redact.Text("another-secret-value"); got != redact.Hidden {
		t.Errorf("got %q", got)
	}
	must(t, restarted.DeleteCluster(t.Context(), r))
	if got := seen(); strings.Contains(got, redact.Hidden) {
		t.Errorf("secrets of a deleted cluster are still redacted: %q", got)
	}
}

func TestSecretPathsStayWithinTheirCluster(t *testing.T) {
	w := newWorld(t)
	r := w.created(t, "a", "u1")
	for _, key := range []string{"", "a/b", "../u2/x"} {
		if err := w.PutSecret(t.Context(), r, key, []byte("x")); err == nil {
			t.Errorf("key %q was accepted", key)
		}
	}
	for _, bad := range []api.Ref{{Name: "a"}, {UID: "u1"}, {Name: "a", UID: "u1/x"}, {Name: "a/b", UID: "u1"}} {
		if err := w.PutSecret(t.Context(), bad, "k", []byte("x")); err == nil {
			t.Errorf("ref %v was accepted", bad)
		}
	}
}

func TestManySecretsAreCreatedInFewRequestsAndKeepThoseThatExist(t *testing.T) {
	w, n := newCountedWorld(t)
	ref := w.created(t, "a", "u1")
	must(t, w.PutSecret(t.Context(), ref, "host-key-7", []byte("the first")))
	values := map[string][]byte{}
	for i := range 1200 {
		values[fmt.Sprintf("host-key-%d", i)] = fmt.Appendf(make([]byte, 600), "new %d", i)
	}
	n.Reset()
	must(t, w.CreateSecrets(t.Context(), ref, values))
	if calls := n.Calls(); calls > 6 { // three times the cluster and a transaction
		t.Errorf("%d calls", calls)
	}
	usable, err := w.ListUsableSecrets(t.Context(), ref)
	must(t, err)
	kept, err := w.ReadSecret(t.Context(), ref, "host-key-7")
	must(t, err)
	last, err := w.ReadSecret(t.Context(), ref, "host-key-1199")
	must(t, err)
	if len(usable) != 1200 || string(kept) != "the first" || !bytes.Equal(last, values["host-key-1199"]) {
		t.Errorf("%d secrets, %q, %q", len(usable), kept, last)
	}
	gone := api.Ref{Name: "a", UID: "u2"}
	wantErr[*store.NotFoundError](t, w.CreateSecrets(t.Context(), gone, values))
}
