package kubefile_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sky-shift/skyctl/pkg/kube/kubefile"
)

// kubeconfig returns the kubeconfig of a cluster as skyctl writes it.
func kubeconfig(cluster, server string) string {
	return fmt.Sprintf(`apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: Q0E=
    server: %[2]s
  name: %[1]s
contexts:
- context:
    cluster: %[1]s
    user: %[1]s
  name: %[1]s
current-context: %[1]s
kind: Config
users:
- name: %[1]s
  user:
    client-certificate-data: Q0VSVA==
    client-key-data: S0VZ
`, cluster, server)
}

// own is a file to which a user has added a cluster, a namespace and a current context.
const own = `apiVersion: v1
clusters:
- cluster: {certificate-authority-data: Q0E=, server: "https://192.0.2.1:6443"}
  name: a
- cluster: {server: "https://work.example:6443", proxy-url: "socks5://localhost:1080"}
  name: work
contexts:
- context: {cluster: a, user: a, namespace: web}
  name: a
- context: {cluster: work, user: me}
  name: work
current-context: work
kind: Config
preferences: {colors: true}
users:
- name: a
  user: {client-certificate-data: T0xE, client-key-data: T0xE}
- name: me
  user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: login, args: ["1", "2"]}}
`

func write(t *testing.T, path, data string) {
	t.Helper()
	if err := kubefile.WriteEntries(path, []byte(data)); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestKubeconfigIsReadableByItsOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clusters", "a", "kubeconfig")
	for _, server := range []string{"https://first.example:6443", "https://b:1"} {
		write(t, path, kubeconfig("a", server))
		if got := read(t, path); got != kubeconfig("a", server) {
			t.Errorf("got %q", got)
		}
	}
	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: got %v, %v", name, info.Mode(), err)
		}
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

func TestDirectoryIsMadePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := kubefile.WriteEntries(filepath.Join(dir, "kubeconfig"), nil); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
}

func TestUsersEntriesStay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(own), 0o600); err != nil {
		t.Fatal(err)
	}
	fresh := kubeconfig("a", "https://192.0.2.9:6443")
	write(t, path, fresh)
	got := read(t, path)
	for _, want := range []string{
		"https://work.example:6443", "socks5://localhost:1080", "command: login", "current-context: work",
		"namespace: web", "colors: true",
		"https://192.0.2.9:6443", "client-key-data: S0VZ", "name: me",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	if strings.Contains(got, "192.0.2.1") || strings.Contains(got, "T0xE") {
		t.Errorf("the old entries are still there:\n%s", got)
	}
	if why := kubefile.DescribeDifference(path, []byte(fresh)); why != "" {
		t.Errorf("the written file differs: %s", why)
	}
	if err := kubefile.RemoveEntries(path, "a"); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); !strings.Contains(got, "work.example") || strings.Contains(got, "192.0.2.9") ||
		!strings.Contains(got, "current-context: work") {
		t.Errorf("after the cluster was removed:\n%s", got)
	}
}

func TestInvalidFileIsKept(t *testing.T) {
	whole := kubeconfig("a", "https://192.0.2.1:6443")
	for name, damaged := range map[string]string{"not YAML": "clusters: [", "another form": "clusters: 3\n",
		"cut": own[:len(own)-30]} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "kubeconfig")
			if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				write(t, path, whole)
			}
			if got := read(t, path); got != whole {
				t.Errorf("got %q", got)
			}
			if got := read(t, path+".damaged-1"); got != damaged {
				t.Errorf("kept %q", got)
			}
			if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
				t.Fatal(err)
			}
			write(t, path, whole)
			if _, err := os.Stat(path + ".damaged-2"); err == nil {
				t.Error("the same content was kept twice")
			}
		})
	}
}

func TestDescribeDifference(t *testing.T) {
	want := kubeconfig("a", "https://192.0.2.1:6443")
	for _, c := range []struct{ name, file, why string }{
		{"the same", want, ""},
		{"empty", "", "no cluster a"},
		{"cut before the users", want[:strings.Index(want, "users:")], "no user a"},
		{"cut within a word", want[:len(want)-3], "different client-key-data"},
		{"cut within a list", "clusters: [", "is not valid"},
		{"another server", kubeconfig("a", "https://192.0.2.2:6443"), "different server"},
		{"another authority", strings.Replace(want, "Q0E=", "Q0I=", 1), "different certificate-authority-data"},
		{"another cluster", kubeconfig("b", "https://192.0.2.1:6443"), "no cluster a"},
		{"with entries of the user", strings.Replace(strings.Replace(own, "T0xE", "Q0VSVA==", 1), "T0xE", "S0VZ", 1),
			""},
	} {
		path := filepath.Join(t.TempDir(), "kubeconfig")
		if err := os.WriteFile(path, []byte(c.file), 0o600); err != nil {
			t.Fatal(err)
		}
		if why := kubefile.DescribeDifference(path, []byte(want)); (c.why == "") != (why == "") ||
			!strings.Contains(why, c.why) {
			t.Errorf("%s: %q, want %q", c.name, why, c.why)
		}
	}
	if why := kubefile.DescribeDifference(filepath.Join(t.TempDir(), "none"), []byte(want)); !strings.Contains(why,
		"missing") {
		t.Errorf("no file: %q", why)
	}
	tunnel := filepath.Join(t.TempDir(), "kubeconfig")
	write(t, tunnel, kubeconfig("a", "https://127.0.0.1:40001"))
	if why := kubefile.DescribeDifference(tunnel, []byte(kubeconfig("a", "https://127.0.0.1:40000"))); why != "" {
		t.Errorf("a tunnel through another port: %q", why)
	}
}

func TestLinkStaysALink(t *testing.T) {
	dir := t.TempDir()
	real, path := filepath.Join(dir, "mine"), filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(real, []byte(own), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, path); err != nil {
		t.Fatal(err)
	}
	write(t, path, kubeconfig("a", "https://192.0.2.9:6443"))
	if got := read(t, real); !strings.Contains(got, "192.0.2.9") || !strings.Contains(got, "work.example") {
		t.Errorf("got\n%s", got)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestRemoveEntriesKeepsOtherFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "kubeconfig")
	if err := kubefile.RemoveEntries(path, "a"); err != nil {
		t.Errorf("no file: %v", err)
	}
	write(t, path, kubeconfig("a", "https://192.0.2.1:6443"))
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), ".kubeconfig-123"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := kubefile.RemoveEntries(path, "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(path)); !os.IsNotExist(err) {
		t.Errorf("the directory is still there: %v", err)
	}
	write(t, path, kubeconfig("a", "https://192.0.2.1:6443"))
	notes := filepath.Join(filepath.Dir(path), "notes")
	if err := os.WriteFile(notes, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := kubefile.RemoveEntries(path, "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(notes); err != nil {
		t.Errorf("the other file is gone: %v", err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the file is still there: %v", err)
	}
}

func TestUnreadableFileIsMovedAside(t *testing.T) {
	whole := kubeconfig("a", "https://192.0.2.1:6443")
	for what, create := range map[string]func(path string) error{
		"a named pipe":             func(path string) error { return unix.Mkfifo(path, 0o600) },
		"a directory":              func(path string) error { return os.MkdirAll(filepath.Join(path, "x"), 0o700) },
		"a device":                 func(path string) error { return os.Symlink(os.DevNull, path) },
		"a file that is too large": func(path string) error { return os.WriteFile(path, make([]byte, 9<<20), 0o600) },
	} {
		written, removed := filepath.Join(t.TempDir(), "kubeconfig"), filepath.Join(t.TempDir(), "kubeconfig")
		for _, path := range []string{written, removed} {
			if err := create(path); err != nil {
				t.Fatal(err)
			}
		}
		write(t, written, whole)
		if why := kubefile.DescribeDifference(written, []byte(whole)); why != "" {
			t.Errorf("%s: %s", what, why)
		}
		if err := kubefile.RemoveEntries(removed, "a"); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := os.Lstat(removed); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", what, err)
		}
		for _, path := range []string{written, removed} {
			if _, err := os.Lstat(path + ".damaged-1"); err != nil {
				t.Errorf("%s was not kept: %v", what, err)
			}
		}
	}
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Errorf("the device itself: %v, %v", info, err)
	}
}

func TestKubeconfigThatIsAPipeDoesNotBlock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if why := kubefile.DescribeDifference(path, nil); !strings.Contains(why, "named pipe") {
		t.Errorf("the difference is %q", why)
	}
}
