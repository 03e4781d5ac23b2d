package remote_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/needs"
)

func TestWriteFileSetsContentAndMode(t *testing.T) {
	needs.Root(t)
	_, h := start(t)
	name := filepath.Join(t.TempDir(), "it's a dir", "file")
	for _, data := range []string{"first", "", "a: 'b'\n\x00\xff"} {
		if err := h.WriteFile(t.Context(), name, []byte(data), 0o640); err != nil {
			t.Fatal(err)
		}
		got, err := h.ReadFile(t.Context(), name)
		if err != nil || string(got) != data {
			t.Errorf("got %q, %v; want %q", got, err, data)
		}
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
	onlyFile(t, name)
}

// onlyFile fails if the directory contains anything else.
func onlyFile(t *testing.T, name string) {
	t.Helper()
	eventually.Holds(t, "only "+name+" is in its directory", func() bool {
		entries, err := os.ReadDir(filepath.Dir(name))
		return err == nil && len(entries) == 1 && entries[0].Name() == filepath.Base(name)
	})
}

func TestReadingAMissingFileIsErrNotExist(t *testing.T) {
	_, h := start(t)
	if _, err := h.ReadFile(t.Context(), "/nowhere/at/all"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestInterruptedWriteKeepsTheOldFile(t *testing.T) {
	needs.Root(t)
	s, h := start(t)
	name := filepath.Join(t.TempDir(), "file")
	if err := h.WriteFile(t.Context(), name, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.CutAfter.Store(100 << 10)
	if err := h.WriteFile(t.Context(), name, bytes.Repeat([]byte("new"), 1<<20), 0o600); !remote.IsLost(err) {
		t.Errorf("got %v", err)
	}
	eventually.Holds(t, "the machine has cleaned up", func() bool { return children(t, os.Getpid()) == 0 })
	if got, err := os.ReadFile(name); err != nil || string(got) != "old" {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	onlyFile(t, name)
}

func TestFileIsCopiedFromTheMachineAsItIs(t *testing.T) {
	s, h := start(t)
	data := bytes.Repeat([]byte("page\x00\xff#\n"), 1<<20)
	name := filepath.Join(t.TempDir(), "it's a file")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := h.CopyFile(t.Context(), name, &got); err != nil || !bytes.Equal(got.Bytes(), data) {
		t.Errorf("%d of %d bytes, %v", got.Len(), len(data), err)
	}
	if err := h.CopyFile(t.Context(), "/nowhere/at/all", &got); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	full := errors.New("the disk is full")
	if err := h.CopyFile(t.Context(), name, writerFunc(func([]byte) (int, error) { return 0, full })); !errors.Is(err,
		full) {
		t.Errorf("got %v", err)
	}
	err := h.CopyFile(t.Context(), name, writerFunc(func(p []byte) (int, error) {
		s.HangUp()
		return len(p), nil
	}))
	if !remote.IsLost(err) {
		t.Errorf("cut off: %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// artifact creates a local file of the given size and returns its sha256.
func artifact(t *testing.T, size int) (local, sum string) {
	t.Helper()
	data := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	local = filepath.Join(t.TempDir(), "artifact")
	if err := os.WriteFile(local, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s := sha256.Sum256(data)
	return local, hex.EncodeToString(s[:])
}

func same(t *testing.T, a, b string) bool {
	t.Helper()
	x, err := os.ReadFile(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := os.ReadFile(b)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Equal(x, y)
}

func TestUploadDoesNotReplaceAnIdenticalFile(t *testing.T) {
	needs.Root(t)
	_, h := start(t)
	local, sum := artifact(t, 5<<20)
	name := filepath.Join(t.TempDir(), "new", "file")
	var last, total int64
	report := func(d, n int64) { last, total = d, n }
	if err := h.UploadFile(t.Context(), local, name, strings.ToUpper(sum), report); err != nil {
		t.Fatal(err)
	}
	if !same(t, local, name) || last != 5<<20 || total != 5<<20 {
		t.Errorf("arrived %v; reported %d of %d", same(t, local, name), last, total)
	}
	onlyFile(t, name)
	before, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.UploadFile(t.Context(), local, name, sum,
		func(int64, int64) { t.Error("it was sent again") }); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(name); err != nil || !os.SameFile(before, after) {
		t.Errorf("the file was replaced (%v)", err)
	}
}

func TestUploadReplacesADamagedFile(t *testing.T) {
	needs.Root(t)
	_, h := start(t)
	local, sum := artifact(t, 1<<20)
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := h.UploadFile(t.Context(), local, name, sum, nil); err != nil || !same(t, local, name) {
		t.Errorf("got %v", err)
	}
}

func TestInterruptedUploadLeavesNoFile(t *testing.T) {
	needs.Root(t)
	s, h := start(t)
	local, sum := artifact(t, 5<<20)
	name := filepath.Join(t.TempDir(), "file")
	s.CutAfter.Store(2 << 20)
	if err := h.UploadFile(t.Context(), local, name, sum, nil); !remote.IsLost(err) {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Stat(name); err == nil {
		t.Error("a partial file has the name")
	}
	s.CutAfter.Store(0)
	if err := dial(t, s).UploadFile(t.Context(), local, name, sum, nil); err != nil || !same(t, local, name) {
		t.Errorf("the next attempt: %v", err)
	}
	onlyFile(t, name)
}

func TestStreamArrivesCompletelyOrNotAtAll(t *testing.T) {
	needs.Root(t)
	s, h := start(t)
	local, sum := artifact(t, 3<<20)
	content, err := os.ReadFile(local)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "new", "file")
	broken := errors.New("the seal is broken")
	bad := io.MultiReader(bytes.NewReader(content[:2<<20]), iotest.ErrReader(broken))
	if _, err := h.UploadStream(t.Context(), bad, 3<<20, name, 0o600, nil); !errors.Is(err, broken) {
		t.Errorf("a stream that fails: %v", err)
	}
	short := bytes.NewReader(content[1:])
	if _, err := h.UploadStream(t.Context(), short, 3<<20, name, 0o600, nil); err == nil {
		t.Error("a stream that is too short arrived")
	}
	s.CutAfter.Store(1 << 20)
	if _, err := h.UploadStream(t.Context(), bytes.NewReader(content), 3<<20, name, 0o600, nil); !remote.IsLost(err) {
		t.Errorf("a lost connection: %v", err)
	}
	s.CutAfter.Store(0)
	if _, err := os.Stat(name); err == nil {
		t.Error("a partial file has the name")
	}
	got, err := dial(t, s).UploadStream(t.Context(), bytes.NewReader(content), 3<<20, name, 0o600, nil)
	if err != nil || got != sum || !same(t, local, name) {
		t.Errorf("it arrived with the sha256 %s, %v", got, err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, %v", info, err)
	}
	onlyFile(t, name)
}

func TestUploadWithAWrongChecksumLeavesNoFile(t *testing.T) {
	_, h := start(t)
	local, _ := artifact(t, 1<<20)
	name := filepath.Join(t.TempDir(), "dir", "file")
	err := h.UploadFile(t.Context(), local, name, strings.Repeat("0", 64), nil)
	var mismatch *remote.ChecksumMismatch
	if !errors.As(err, &mismatch) || mismatch.Local != local {
		t.Fatalf("got %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(name)); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestConcurrentUploadsOfOneFileSucceed(t *testing.T) {
	needs.Root(t)
	_, h := start(t)
	local, sum := artifact(t, 5<<20)
	name := filepath.Join(t.TempDir(), "file")
	results := make(chan error, 4)
	for range cap(results) {
		go func() { results <- h.UploadFile(t.Context(), local, name, sum, nil) }()
	}
	for range cap(results) {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if !same(t, local, name) {
		t.Error("the file differs")
	}
}
