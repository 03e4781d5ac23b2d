package inputfile

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// newDirectory writes files below a new directory, each with its path as content, and goes there.
func newDirectory(t *testing.T, paths ...string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, path := range paths {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("content of "+path), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFilesAndDirectoriesAreReadInOrder(t *testing.T) {
	newDirectory(t, "d/b.yml", "d/a.yaml", "d/c.json", "d/notes.txt", "d/.hidden.yaml", "d/deep/e.yaml",
		"d/.git/x.yaml", "one.txt")
	for _, tt := range []struct {
		names     []string
		recursive bool
		want      string
	}{
		{names: []string{"one.txt", "d"}, want: "one.txt d/a.yaml d/b.yml d/c.json"},
		{names: []string{"d/c.json", "d/", "./d/a.yaml"}, want: "d/c.json d/a.yaml d/b.yml"},
		{names: []string{"d"}, recursive: true, want: "d/a.yaml d/b.yml d/c.json d/deep/e.yaml"},
		{names: []string{"-"}, want: "standard input"},
	} {
		files, err := Source{Stdin: strings.NewReader("content of standard input"),
			Recursive: tt.recursive}.Read(t.Context(), tt.names)
		if err != nil {
			t.Errorf("%v: %v", tt.names, err)
		}
		var got []string
		for _, f := range files {
			got = append(got, f.Name)
			if string(f.Data) != "content of "+f.Name {
				t.Errorf("%s: %q", f.Name, f.Data)
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%v: got %v, want %s", tt.names, got, tt.want)
		}
	}
}

func TestUnreadableSourcesAreNamed(t *testing.T) {
	newDirectory(t, "d/notes.txt", "large.yaml")
	if err := os.Truncate("large.yaml", maxBytes+1); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"":                               "-f needs a file",
		"none.yaml":                      "none.yaml: no such file",
		"d":                              "d has no files with the endings .yaml, .yml, .json; -R reads",
		"large.yaml":                     "large.yaml is too large",
		"-":                              "standard input is too large",
		"/dev/null":                      "/dev/null is not a regular file",
		"http://example.com/d.yaml":      "use https://",
		"ftp://example.com/d.yaml":       "ftp:// is not supported",
		"https:///d.yaml":                "needs a host",
		"http://u:geheim@198.51.100.1/d": "http://198.51.100.1/d: http:// can be changed",
		"https://u:geheim/0@example.com": "https://…: this is not a valid address",
	} {
		_, err := Source{Stdin: strings.NewReader(strings.Repeat("a", maxBytes+1))}.Read(t.Context(), []string{name})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%q: got %v, want %q", name, err, want)
		}
	}
}

func TestNamesOfDownloadsHaveNoSecrets(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "u" || password != "geheim" || r.FormValue("key") != "geheim" {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer server.Close()
	address := strings.Replace(server.URL, "http://", "http://u:geheim@", 1) + "/dev.yaml?key=geheim"
	files, err := Source{}.Read(t.Context(), []string{address})
	if err != nil || len(files) != 1 || files[0].Name != server.URL+"/dev.yaml?…" {
		t.Errorf("%+v, %v", files, err)
	}
	address = strings.Replace(address, "key=", "other=", 1)
	if _, err := (Source{}).Read(t.Context(), []string{address}); err == nil ||
		strings.Contains(err.Error(), "geheim") {
		t.Errorf("%v", err)
	}
}

func TestDownloadsAreBounded(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ok":
			_, _ = w.Write([]byte("fine"))
		case "/large":
			_, _ = w.Write(make([]byte, maxBytes+1))
		case "/away":
			http.Redirect(w, r, "http://example.com/d.yaml", http.StatusFound)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/slow":
			<-r.Context().Done()
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	stopped, stop := context.WithCancelCause(t.Context())
	stop(errors.New("stopped"))
	for path, want := range map[string]string{
		"/ok": "", "/none": "404 Not Found", "/large": "too large", "/away": "use https://", "/loop": "redirects",
		"/slow": "stopped",
	} {
		ctx := t.Context()
		if path == "/slow" {
			ctx = stopped
		}
		files, err := Source{}.Read(ctx, []string{server.URL + path})
		if want == "" && (err != nil || len(files) != 1 || string(files[0].Data) != "fine") ||
			want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}
