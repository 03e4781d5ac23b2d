package kubeconfig

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/sky-shift/skyctl/pkg/yamltext"
)

// newKubeconfig is the own kubeconfig of a cluster; generation differs after each renewal of its credentials.
func newKubeconfig(name string, generation int) []byte {
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- {name: %[1]s, cluster: {server: "https://10.0.0.%[2]d:6443", certificate-authority-data: Q0EtT0YtJVM=}}
users:
- {name: %[1]s, user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}}
contexts:
- {name: %[1]s, context: {cluster: %[1]s, user: %[1]s}}
current-context: %[1]s
`, name, generation)
}

func newEntries(t *testing.T, name, uid string, generation int) *Entries {
	t.Helper()
	e, err := NewEntries(name, uid, newKubeconfig(name, generation))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// newEntriesOfOtherAuthority returns the entries of a cluster dev with another certificate authority.
func newEntriesOfOtherAuthority(t *testing.T, uid string) *Entries {
	t.Helper()
	e := newEntries(t, "dev", uid, 2)
	e.cluster[authorityField] = "T1RIRVI="
	return e
}

// realShapes returns kubeconfigs as other programs and people write them.
func realShapes(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/*.kubeconfig")
	if err != nil || len(files) < 10 {
		t.Fatalf("found %d shapes, %v", len(files), err)
	}
	shapes := map[string][]byte{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		shapes[strings.TrimSuffix(filepath.Base(f), ".kubeconfig")] = text
	}
	return shapes
}

// loadAsKubectl parses a kubeconfig as kubectl does.
func loadAsKubectl(t *testing.T, text []byte) *clientcmdapi.Config {
	t.Helper()
	c, err := clientcmd.Load(text)
	if err != nil {
		t.Fatalf("kubectl cannot read it: %v\n%s", err, text)
	}
	return c
}

func remove(t *testing.T, text, earlier []byte, uid string) []byte {
	t.Helper()
	left, err := Remove(text, earlier, uid, findContextChange([][]byte{text}, uid))
	if err != nil {
		t.Fatalf("removing: %v\n%s", err, text)
	}
	return left
}

func TestRealKubeconfigsAreMergedAndCleanedToTheSameBytes(t *testing.T) {
	for name, text := range realShapes(t) {
		t.Run(name, func(t *testing.T) {
			before := loadAsKubectl(t, text)
			merged, err := Merge(text, newEntries(t, "dev", "uid-1", 1), true)
			if err != nil {
				t.Fatal(err)
			}
			if merged, err = Merge(merged, newEntries(t, "gpu", "uid-2", 2), true); err != nil {
				t.Fatal(err)
			}
			current, previous, err := SetCurrent(merged, "dev")
			if err == nil {
				current, err = RememberPrevious(current, "uid-1", previous)
			}
			if err != nil {
				t.Fatal(err)
			}
			renewed, err := renewEntries(current, newEntries(t, "dev", "uid-1", 3))
			if err != nil {
				t.Fatal(err)
			}
			seen := loadAsKubectl(t, renewed)
			for context, server := range map[string]string{"skyctl-dev": "https://10.0.0.3:6443",
				"skyctl-gpu": "https://10.0.0.2:6443"} {
				c := seen.Contexts[context]
				if c == nil || seen.Clusters[c.Cluster] == nil || seen.Clusters[c.Cluster].Server != server ||
					string(seen.AuthInfos[c.AuthInfo].ClientKeyData) != "KEY" {
					t.Errorf("kubectl sees of %s: %+v", context, c)
				}
			}
			if seen.CurrentContext != "skyctl-dev" {
				t.Errorf("the current context is %q", seen.CurrentContext)
			}
			for context, c := range before.Contexts {
				if !reflect.DeepEqual(seen.Contexts[context], c) {
					t.Errorf("the person's context %s became %+v", context, seen.Contexts[context])
				}
			}
			left := remove(t, remove(t, renewed, text, "uid-2"), text, "uid-1")
			if !bytes.Equal(left, text) {
				t.Errorf("left is\n%s\nwas\n%s", left, text)
			}
		})
	}
}

func TestRenewalChangesNothingOfThePerson(t *testing.T) {
	for name, text := range realShapes(t) {
		merged, err := Merge(text, newEntries(t, "dev", "uid-1", 1), false)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Merge(merged, newEntries(t, "dev", "uid-1", 1), false)
		if err != nil || !bytes.Equal(again, merged) {
			t.Errorf("%s: a second merge changed something: %v", name, err)
		}
		renewed, err := renewEntries(merged, newEntries(t, "dev", "uid-1", 2))
		if err != nil {
			t.Fatal(err)
		}
		back := bytes.Replace(renewed, []byte("https://10.0.0.2:6443"), []byte("https://10.0.0.1:6443"), 1)
		if !bytes.Equal(back, merged) || bytes.Equal(renewed, merged) {
			t.Errorf("%s: renewed\n%s\nwas\n%s", name, renewed, merged)
		}
	}
}

func TestEntriesAreFoundAfterKubectlHasChangedThem(t *testing.T) {
	text := realShapes(t)["comments"]
	merged, err := Merge(text, newEntries(t, "dev", "uid-1", 1), false)
	if err != nil {
		t.Fatal(err)
	}
	c := loadAsKubectl(t, merged) // kubectl config rename-context, set-context --namespace
	c.Contexts["mine"] = c.Contexts["skyctl-dev"]
	c.Contexts["mine"].Namespace = "web"
	delete(c.Contexts, "skyctl-dev")
	c.CurrentContext = "mine"
	rewritten, err := clientcmd.Write(*c)
	if err != nil {
		t.Fatal(err)
	}
	renewed, err := renewEntries(rewritten, newEntries(t, "dev", "uid-1", 2))
	if err != nil {
		t.Fatal(err)
	}
	seen := loadAsKubectl(t, renewed)
	if seen.Contexts["mine"].Namespace != "web" || seen.Clusters["skyctl-dev"].Server != "https://10.0.0.2:6443" ||
		seen.Contexts["skyctl-dev"] != nil {
		t.Errorf("renewed: %s", renewed)
	}
	left := loadAsKubectl(t, remove(t, renewed, text, "uid-1"))
	if len(left.Contexts) != 3 || len(left.Clusters) != 3 || len(left.AuthInfos) != 1 || left.CurrentContext != "" {
		t.Errorf("left: %+v", left)
	}
}

func TestMergeKeepsThePersonsNamespace(t *testing.T) {
	merged, err := Merge(nil, newEntries(t, "dev", "uid-1", 1), true)
	if err != nil {
		t.Fatal(err)
	}
	c := loadAsKubectl(t, merged)
	c.Contexts["skyctl-dev"].Namespace = "web"
	rewritten, err := clientcmd.Write(*c)
	if err != nil {
		t.Fatal(err)
	}
	if merged, err = Merge(rewritten, newEntries(t, "dev", "uid-1", 2), true); err != nil {
		t.Fatal(err)
	}
	if seen := loadAsKubectl(t, merged); seen.Contexts["skyctl-dev"].Namespace != "web" ||
		seen.Clusters["skyctl-dev"].Server != "https://10.0.0.2:6443" {
		t.Errorf("merged again: %s", merged)
	}
}

func TestFileThatSkyctlCreatedGoesWithItsLastEntry(t *testing.T) {
	merged, err := Merge(nil, newEntries(t, "dev", "uid-1", 1), true)
	if err != nil {
		t.Fatal(err)
	}
	if c := loadAsKubectl(t, merged); c.CurrentContext != "skyctl-dev" {
		t.Errorf("the current context is %q", c.CurrentContext)
	}
	if left := remove(t, merged, nil, "uid-1"); left != nil {
		t.Errorf("left is %s", left)
	}
	commented := append([]byte("# mine\n"), merged...)
	if left := remove(t, commented, nil, "uid-1"); !strings.HasPrefix(string(left), "# mine\n") {
		t.Errorf("a comment of the person went: %q", left)
	}
}

func TestForeignEntryOfTheSameNameIsRefused(t *testing.T) {
	text := []byte("contexts:\n- {name: skyctl-dev, context: {cluster: x, user: y}}\n")
	foreign := new(ForeignEntryError)
	if _, err := Merge(text, newEntries(t, "dev", "uid-1", 1), false); !errors.As(err, &foreign) ||
		!strings.Contains(err.Error(), "context skyctl-dev is not skyctl's") {
		t.Errorf("the merge ended with %v", err)
	}
	if left := remove(t, text, nil, "uid-1"); !bytes.Equal(left, text) {
		t.Errorf("removed: %s", left)
	}
	stripped := []byte("clusters:\n- {name: skyctl-dev, cluster: {server: a, certificate-authority-data: " +
		"Q0EtT0YtJVM=}}\n" +
		"contexts:\n- {name: skyctl-dev, context: {cluster: skyctl-dev, user: skyctl-dev}}\n")
	merged, err := Merge(stripped, newEntries(t, "dev", "uid-1", 1), false)
	if err != nil || !HasEntries(merged) {
		t.Errorf("entries of skyctl without their mark: %s, %v", merged, err)
	}
}

func TestEntriesOfAnotherInstallationStay(t *testing.T) {
	merged, err := Merge(nil, newEntries(t, "dev", "uid-of-other", 1), true)
	if err != nil {
		t.Fatal(err)
	}
	if left := remove(t, merged, nil, "uid-1"); !bytes.Equal(left, merged) {
		t.Errorf("removed entries of another cluster: %s", left)
	}
	if renewed, err := renewEntries(merged, newEntries(t, "dev", "uid-1", 2)); err != nil ||
		!bytes.Equal(renewed, merged) {
		t.Errorf("renewed entries of another cluster: %s, %v", renewed, err)
	}
	other := new(OtherClusterError)
	ours := newEntriesOfOtherAuthority(t, "uid-1")
	if _, err := Merge(merged, ours, true); !errors.As(err, &other) ||
		!strings.Contains(err.Error(), "kubectl config delete-user skyctl-dev") {
		t.Errorf("the merge over entries of another cluster ended with %v", err)
	}
	if _, err := Merge(merged, newEntries(t, "dev", "uid-restored", 2), true); err != nil {
		t.Errorf("the same cluster with a new id: %v", err)
	}
}

func TestTextsThatAreNoKubeconfigAreRefused(t *testing.T) {
	for text, says := range map[string]string{
		"apiVersion: v1\n---\napiVersion: v1\n": "several documents",
		"clusters: {}\nclusters: []\n":          "different keys",
		"clusters: [\n":                         "not valid YAML",
		"clusters: text\n":                      "is not a list",
	} {
		form := new(yamltext.FormError)
		if _, err := Merge([]byte(text), newEntries(t, "dev", "uid-1", 1), true); !errors.As(err, &form) ||
			!strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
