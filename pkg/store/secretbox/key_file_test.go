package secretbox_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sky-shift/skyctl/pkg/store/secretbox"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestConcurrentCallersCreateOneKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "secrets.key")
	keys := make([][]byte, 20)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			key, err := secretbox.LoadOrCreateKey(path)
			if err != nil {
				t.Error(err)
			}
			keys[i] = key
		})
	}
	wg.Wait()
	for _, k := range keys {
		if len(k) != secretbox.KeySize || !bytes.Equal(k, keys[0]) {
			t.Fatal("keys differ")
		}
	}
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %o", info.Mode().Perm())
	}
	left, err := os.ReadDir(filepath.Dir(path))
	must(t, err)
	if len(left) != 1 {
		t.Errorf("other files in the directory of the key: %v", left)
	}
}

func TestInvalidKeyFileIsRejected(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k")
	good := strings.Repeat("ab", 32)
	for _, c := range []struct {
		content string
		mode    os.FileMode
		says    string
	}{
		{good, 0o644, "accessible to other users"},
		{good, 0o640, "accessible to other users"},
		{good[:20], 0o600, "has 20 characters"},
		{good + "ab", 0o600, "has 66 characters"},
		{"", 0o600, "is empty"},
		{strings.Repeat("zq", 32), 0o600, "not in hexadecimal"},
	} {
		must(t, os.WriteFile(path, []byte(c.content), 0o600))
		must(t, os.Chmod(path, c.mode))
		_, err := secretbox.LoadOrCreateKey(path)
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%q with mode %o: %v, want %q", c.content, c.mode, err, c.says)
		}
		if err != nil && (strings.Contains(err.Error(), "abab") || strings.Contains(err.Error(), "zq") ||
			strings.Contains(err.Error(), "'z'")) {
			t.Errorf("the error quotes the key: %v", err)
		}
		kept, rerr := os.ReadFile(path)
		must(t, rerr)
		if string(kept) != c.content {
			t.Error("the file was overwritten")
		}
	}
}
