package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/smalldisk"
)

// childVariable makes TestMain a process that is killed in the middle of a Put into that directory.
const childVariable = "SKYTEST_VAULT_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		putForever(dir)
	}
	os.Exit(m.Run())
}

func putForever(dir string) {
	identity, err := NewIdentity()
	if err != nil {
		panic(err)
	}
	d, err := NewDirectory(dir, identity, 1<<30)
	if err != nil {
		panic(err)
	}
	// Not select{}: the Go runtime ends a process whose only goroutine can never go on, as a deadlock.
	rest := os.Stdin // a pipe that stays open
	_, err = d.Put(context.Background(), "folder/killed", io.MultiReader(bytes.NewReader(makeContent(10<<20)), rest))
	panic(err)
}

func newDirectory(t *testing.T, dir string, quota uint64) *Directory {
	t.Helper()
	d, err := NewDirectory(dir, newIdentity(t), quota)
	must(t, err)
	return d
}

// listPaths returns all files and folders of a directory, without the lock.
func listPaths(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if path != dir && filepath.Base(path) != lockFile {
			all = append(all, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	}))
	return all
}

func TestDirectoryKeepsFiles(t *testing.T) {
	testKeeping(t, newDirectory(t, filepath.Join(t.TempDir(), "a", "b"), 1<<30))
}

func TestDirectoryKeepsNothingOfAFailedPut(t *testing.T) {
	dir := t.TempDir()
	testFailingReaders(t, newDirectory(t, dir, 1<<30))
	d := newDirectory(t, dir, 1<<30)
	must(t, d.Delete(t.Context(), "kept")) // removes folders that have become empty
	if left := listPaths(t, dir); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func TestOnlyTheOwnerCanReadADirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "vault")
	d := newDirectory(t, dir, 1<<30)
	_, err := d.Put(t.Context(), "folder/file", strings.NewReader("a secret of the cluster"))
	must(t, err)
	for path, want := range map[string]fs.FileMode{"": 0o700, "folder": 0o700, "folder/file": 0o600} {
		info, err := os.Stat(filepath.Join(dir, path))
		must(t, err)
		if info.Mode().Perm() != want {
			t.Errorf("%q has the mode %o", path, info.Mode().Perm())
		}
	}
	sealed, err := os.ReadFile(filepath.Join(dir, "folder/file"))
	must(t, err)
	if bytes.Contains(sealed, []byte("secret")) {
		t.Error("the content can be read")
	}
}

func TestEveryDamageIsFound(t *testing.T) {
	dir := t.TempDir()
	d := newDirectory(t, dir, 1<<30)
	content := makeContent(2*sealChunk + 100)
	_, err := d.Put(t.Context(), "file", bytes.NewReader(content))
	must(t, err)
	path := filepath.Join(dir, "file")
	sealed, err := os.ReadFile(path)
	must(t, err)
	damage := map[string][]byte{"empty": {}, "longer": append(bytes.Clone(sealed), 0)}
	for _, at := range []int{0, 190, 300, sealChunk, 2 * sealChunk, len(sealed) - 1} {
		changed := bytes.Clone(sealed)
		changed[at] ^= 1
		damage[fmt.Sprintf("changed at %d", at)] = changed
	}
	header := len(sealed) - len(content) - 3*sealTag
	for _, n := range []int{10, 150, header, header + sealChunk + sealTag, header + 2*(sealChunk+sealTag),
		len(sealed) - 1} {
		damage[fmt.Sprintf("cut to %d", n)] = sealed[:n]
	}
	for name, data := range damage {
		must(t, os.WriteFile(path, data, 0o600))
		got, err := readAll(t.Context(), d, "file")
		if err == nil {
			t.Errorf("%s: not found", name)
		} else if !strings.HasPrefix(string(content), string(got)) {
			t.Errorf("%s: %d bytes that were never there", name, len(got))
		}
		requireKind(t, err, Damaged)
	}
	must(t, os.WriteFile(path, sealed, 0o600))
	_, err = readAll(t.Context(), newDirectory(t, dir, 1), "file")
	requireKind(t, err, WrongKey)
}

func TestQuotaHoldsBeforeAndWhileWriting(t *testing.T) {
	const quota = 12 << 20
	dir := t.TempDir()
	d := newDirectory(t, dir, quota)
	_, err := d.Put(t.Context(), "first", bytes.NewReader(makeContent(5<<20)))
	must(t, err)

	read := false
	_, err = d.Put(t.Context(), "second", WithSize(readerFunc(func([]byte) (int, error) {
		read = true
		return 0, io.EOF
	}), 7<<20))
	requireKind(t, err, QuotaReached)
	if read || !strings.Contains(err.Error(), "12 MiB together: 6 MiB are used, and 8 MiB more are needed") {
		t.Errorf("read %v: %v", read, err)
	}

	most := 0
	_, err = d.Put(t.Context(), "second", readerFunc(func(p []byte) (int, error) { // has no end
		most += len(p)
		return len(p), nil
	}))
	requireKind(t, err, QuotaReached)
	if most < 2<<20 || most > quota {
		t.Errorf("%d bytes were read", most)
	}
	if left := listPaths(t, dir); strings.Join(left, " ") != "first" {
		t.Errorf("left: %q", left)
	}
	must(t, d.Delete(t.Context(), "first"))
	_, err = d.Put(t.Context(), "second", WithSize(bytes.NewReader(makeContent(11<<20)), 11<<20))
	must(t, err)
}

func TestFullDiskIsFoundBeforeAndWhileWriting(t *testing.T) {
	dir := smalldisk.Mount(t, 64)
	d := newDirectory(t, dir, 1<<40)
	_, err := d.Put(t.Context(), "first", WithSize(bytes.NewReader(makeContent(5<<20)), 5<<20))
	must(t, err)
	_, err = d.Put(t.Context(), "second", WithSize(errorReader{errors.New("read too early")}, 40<<20))
	requireKind(t, err, DiskFull)

	_, err = d.Put(t.Context(), "second", readerFunc(func(p []byte) (int, error) { return len(p), nil }))
	requireKind(t, err, DiskFull)
	if left := listPaths(t, dir); strings.Join(left, " ") != "first" {
		t.Errorf("left: %q", left)
	}

	// Something else fills the disk between two looks at it.
	_, err = d.Put(t.Context(), "second", io.MultiReader(bytes.NewReader(makeContent(1<<20)), doThenEnd(func() {
		if _, err := smalldisk.Fill(dir, 0); err != nil {
			t.Error(err)
		}
	})))
	requireKind(t, err, DiskFull)
	got, err := readAll(t.Context(), d, "first")
	if err != nil || len(got) != 5<<20 {
		t.Errorf("the older file: %d bytes, %v", len(got), err)
	}
}

func TestNextPutCleansUpAfterAKilledOne(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+dir)
	_, err := cmd.StdinPipe() // open until Wait
	must(t, err)
	must(t, cmd.Start())
	findTemporary := func() bool {
		for _, path := range listPaths(t, dir) {
			if leftover.MatchString(filepath.Base(path)) {
				info, err := os.Stat(filepath.Join(dir, path))
				return err == nil && info.Size() >= checkedChunk
			}
		}
		return false
	}
	eventually.Holds(t, "the process writes", findTemporary)
	d := newDirectory(t, dir, 1<<30)
	_, err = d.Put(t.Context(), "beside", strings.NewReader("x"))
	must(t, err)
	if !findTemporary() {
		t.Error("the file of a process that writes was removed")
	}
	requireFiles(t, d, "beside")
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	must(t, os.WriteFile(filepath.Join(dir, ".DS_Store"), nil, 0o600)) // of somebody else
	_, err = d.Put(t.Context(), "after", strings.NewReader("x"))
	must(t, err)
	if left := strings.Join(listPaths(t, dir), " "); left != ".DS_Store after beside" {
		t.Errorf("left: %q", left)
	}
}

func TestDirectoryWithoutRightsIsDenied(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	_, err := newDirectory(t, filepath.Join(file, "x"), 1<<30).Put(t.Context(), "a", strings.NewReader("x"))
	requireKind(t, err, Unavailable)
	requireKind(t, diskError("keeping a", &os.PathError{Op: "open", Path: "x", Err: fs.ErrPermission}), AccessDenied)
}
