package access

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLocationsAreTakenApart(t *testing.T) {
	for text, want := range map[string]Location{
		"dev:/a:b": {"dev", "/a:b"}, "sky-dev-1:": {"sky-dev-1", ""}, "./a:b": {"", "./a:b"}, "/x/y": {"", "/x/y"},
		"plain": {"", "plain"}, ":x": {"", ":x"}, "machine/sky-dev-1:/x": {"machine/sky-dev-1", "/x"},
		"cluster/dev:x": {"cluster/dev", "x"}, "cluster/dev": {"", "cluster/dev"}, "cl/a/b:c": {"", "cl/a/b:c"},
	} {
		if got := ParseLocation(text); got != want {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

func TestArchiveOfAMachineCannotLeaveItsDirectory(t *testing.T) {
	for name, entries := range map[string][]tar.Header{
		"dots": {{Name: "./../../out", Typeflag: tar.TypeReg}},
		"link": {{Name: "./l", Typeflag: tar.TypeSymlink, Linkname: "OUT"},
			{Name: "./l/out", Typeflag: tar.TypeReg}},
		"link itself": {{Name: "./l", Typeflag: tar.TypeSymlink, Linkname: "OUT/out"},
			{Name: "./l", Typeflag: tar.TypeReg}},
		"hard link": {{Name: "./h", Typeflag: tar.TypeLink, Linkname: "../../secret"}},
		"device":    {{Name: "./d", Typeflag: tar.TypeChar}},
	} {
		dir, outside := t.TempDir(), t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "secret"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if err := w.WriteHeader(&tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
			t.Fatal(err)
		}
		for _, h := range entries {
			if h.Mode = 0o644; h.Linkname == "OUT" || h.Linkname == "OUT/out" {
				h.Linkname = outside + h.Linkname[3:]
			}
			if err := w.WriteHeader(&h); err != nil {
				t.Fatal(err)
			}
		}
		w.Close()
		in, err := newIncoming(filepath.Join(dir, "to"), func(int) {})
		if err != nil {
			t.Fatal(err)
		}
		if err := in.unpackArchive(&b); err == nil {
			t.Errorf("%s: accepted", name)
		}
		in.removeRest()
		for _, d := range []string{dir, outside} {
			files, _ := os.ReadDir(d)
			for _, f := range files {
				if f.Name() != "secret" {
					t.Errorf("%s: %s was written", name, f.Name())
				}
			}
		}
	}
}

// unpack gives a path a download of these entries.
func unpack(t *testing.T, local string, entries ...tar.Header) error {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	in, err := newIncoming(local, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	defer in.removeRest()
	if err := in.unpackArchive(&b); err != nil {
		t.Fatal(err)
	}
	return in.moveIntoPlace()
}

func TestLinkOfAnEarlierDownloadIsNotFollowed(t *testing.T) {
	to, outside := filepath.Join(t.TempDir(), "to"), t.TempDir()
	top := tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755}
	if err := unpack(t, to, top, tar.Header{Name: "./l", Typeflag: tar.TypeSymlink, Linkname: outside}); err != nil {
		t.Fatal(err)
	}
	err := unpack(t, to, top, tar.Header{Name: "./l/", Typeflag: tar.TypeDir, Mode: 0o755},
		tar.Header{Name: "./l/out", Typeflag: tar.TypeReg, Mode: 0o644})
	if err == nil || !strings.Contains(err.Error(), filepath.Join(to, "l")+" is a link or a file") {
		t.Errorf("got %v", err)
	}
	if files, _ := os.ReadDir(outside); len(files) > 0 {
		t.Errorf("%s was written", files[0].Name())
	}
}

// useFilesAsNobody takes the permissions of root from a test, for which a mode would forbid nothing.
func useFilesAsNobody(t *testing.T, dir string) {
	t.Helper()
	const nobody = 65534
	if os.Geteuid() != 0 {
		return
	}
	if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o711), os.Chown(dir, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread() // the user is one of the thread
	t.Cleanup(runtime.UnlockOSThread)
	t.Cleanup(func() { _, _ = unix.SetfsuidRetUid(0) })
	if _, err := unix.SetfsuidRetUid(nobody); err != nil {
		t.Fatal(err)
	}
}

func TestDirectoriesWithoutPermissionsAreDownloaded(t *testing.T) {
	dir := t.TempDir()
	to := filepath.Join(dir, "to")
	useFilesAsNobody(t, dir)
	modes := map[string]int64{"./": 0o555, "./a/": 0, "./a/b/": 0o500, "./a/b/c/": 0o700}
	var entries []tar.Header
	for _, name := range []string{"./", "./a/", "./a/b/", "./a/b/c/"} {
		entries = append(entries, tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: modes[name]})
	}
	if err := unpack(t, to, entries...); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"./", "./a/", "./a/b/"} { // from above, each is opened after a look at it
		path := filepath.Join(to, name)
		info, err := os.Stat(path)
		if err != nil || int64(info.Mode().Perm()) != modes[name] {
			t.Fatalf("%s: %v, %v", name, info, err)
		}
		if err := os.Chmod(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
}
