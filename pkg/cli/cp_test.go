package cli

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fillDirectory writes files of several kinds, with modes and an old time.
func fillDirectory(t *testing.T, dir string) {
	t.Helper()
	big := make([]byte, 3<<20)
	_, _ = rand.Read(big)
	for name, content := range map[string][]byte{"plain": []byte("x"), "sub/it's; rm -rf $HOME \"\n": big,
		"sub/run": nil,
		"-rf":     []byte("dash")} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, err := range []error{os.Symlink("../plain", filepath.Join(dir, "sub/link")),
		os.Mkdir(filepath.Join(dir, "empty"), 0o750), os.Chmod(filepath.Join(dir, "sub/run"), 0o755),
		os.Chtimes(filepath.Join(dir, "plain"), old, old)} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// checkSameTree compares names, kinds, modes, contents and times of two directories.
func checkSameTree(t *testing.T, want, got string) {
	t.Helper()
	seen := 0
	err := filepath.WalkDir(want, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		seen++
		rel, _ := filepath.Rel(want, path)
		a, _ := os.Lstat(path)
		b, err := os.Lstat(filepath.Join(got, rel))
		if err != nil {
			return err
		}
		if a.Mode() != b.Mode() || a.Mode().IsRegular() && !a.ModTime().Truncate(time.Second).Equal(
			b.ModTime().Truncate(time.Second)) {
			t.Errorf("%q: %v %v, want %v %v", rel, b.Mode(), b.ModTime(), a.Mode(), a.ModTime())
		}
		if a.Mode().IsRegular() {
			x, _ := os.ReadFile(path)
			if y, _ := os.ReadFile(filepath.Join(got, rel)); !bytes.Equal(x, y) {
				t.Errorf("%q has another content", rel)
			}
		}
		return nil
	})
	if err != nil || seen < 8 {
		t.Errorf("%d files, %v", seen, err)
	}
}

func TestCopyGoesBothWaysAndKeepsModes(t *testing.T) {
	storeReachableCluster(t, "carried", 1)
	p := newKeyHolder(t)
	dir := t.TempDir()
	src, far, back := filepath.Join(dir, "src"), filepath.Join(dir, "far 'n; $x"), filepath.Join(dir, "back")
	fillDirectory(t, src)
	for _, d := range []string{far, back} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p.run("cp", src, "carried:"+far+"/new").check(t, 0, "", "") // a new directory
	checkSameTree(t, src, far+"/new")
	p.run("cp", "-r", src, "sky-carried-1:"+far).check(t, 0, "", "") // into one that exists, under its name
	checkSameTree(t, src, far+"/src")
	p.run("cp", "--root", "sky-carried-1:"+far+"/src", back).check(t, 0, "", "")
	checkSameTree(t, src, back+"/src")
	p.run("cp", "carried:"+far+"/src/plain", filepath.Join(back, "one")).check(t, 0, "", "")
	p.run("cp", filepath.Join(back, "one"), "carried:"+far+"/-two").check(t, 0, "", "")
	if b, err := os.ReadFile(far + "/-two"); string(b) != "x" {
		t.Errorf("got %q, %v", b, err)
	}

	// what is there already stays, except for files of the same name
	if err := os.WriteFile(far+"/src/kept", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(src+"/plain", []byte("newer"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.run("cp", src, "carried:"+far).check(t, 0, "", "")
	p.run("cp", "carried:"+far+"/src", back).check(t, 0, "", "")
	for _, d := range []string{far, back} {
		b, _ := os.ReadFile(d + "/src/plain")
		if _, err := os.Stat(d + "/src/kept"); err != nil || string(b) != "newer" {
			t.Errorf("%s: %v, %q", d, err, b)
		}
	}
	for _, d := range []string{dir, far, back} {
		if rest, _ := filepath.Glob(filepath.Join(d, ".skyctl-cp*")); len(rest) > 0 {
			t.Errorf("left behind: %q", rest)
		}
	}
}

func TestInterruptedCopyLeavesNoPart(t *testing.T) {
	_, servers := storeReachableCluster(t, "torn", 0)
	p := newKeyHolder(t)
	dir := t.TempDir()
	src := filepath.Join(dir, "src")
	fillDirectory(t, src)
	servers[0].CutAfter.Store(1 << 20)
	if got := p.run("cp", src, "torn:"+dir+"/far"); got.code != ExitUnreachable {
		t.Errorf("exit %d, %q", got.code, got.err)
	}
	if _, err := os.Stat(dir + "/far"); err == nil {
		t.Error("a part has the name of the whole")
	}
}

func TestCopyErrorsSayWhatIsWrong(t *testing.T) {
	storeReachableCluster(t, "refuses", 0)
	p := newKeyHolder(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, e := range []struct {
		from, to string
		code     int
		want     string
	}{
		{"a", "b", ExitUsage, "neither a nor b is on a machine"},
		{"refuses:/a", "refuses:/b", ExitUsage, "are both on machines"},
		{file, "refused:/tmp/x", ExitNotFound, "did you mean refuses?"},
		{"refuses:" + dir + "/absent", dir, ExitFailed, "no such file or directory: " + dir + "/absent"},
		{"refuses:/dev/null", dir + "/null", ExitFailed, "neither a file, a directory nor a link"},
		{dir + "/absent", "refuses:" + dir, ExitFailed, "no such file"},
		{file, "refuses:" + dir + "/absent/file", ExitFailed, "no such directory: " + dir + "/absent"},
		{"refuses:" + file, dir + "/absent/file", ExitFailed, "no such file or directory"},
		{dir, "refuses:" + file, ExitFailed, ""},
	} {
		if got := p.run("cp", e.from, e.to); got.code != e.code || !strings.Contains(got.err, e.want) {
			t.Errorf("cp %s %s: exit %d, %q", e.from, e.to, got.code, got.err)
		}
	}
}
