package regularfile

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOnlyRegularFilesAreReadAndNoneIsWaitedFor(t *testing.T) {
	dir := t.TempDir()
	named := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(named("file"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", named("link")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(named("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("fifo", named("link-to-fifo")); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", named("socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for _, name := range []string{"file", "link"} {
		if data, err := Read(named(name), 4); err != nil || string(data) != "text" {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	for name, says := range map[string]string{
		named("fifo"): "a named pipe", named("link-to-fifo"): "a named pipe", named("socket"): "a socket",
		dir:         "a directory",
		"/dev/zero": "a device",
	} {
		_, err := Read(name, SmallFile)
		if !errors.Is(err, ErrNotRegular) || !strings.Contains(err.Error(), name) ||
			!strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", name, err)
		}
		if f, err := OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600); err == nil {
			_ = f.Close()
			t.Errorf("%s was opened for writing", name)
		}
	}
	if _, err := Read(named("none"), SmallFile); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestAFileThatIsTooLargeIsNotReadWhole(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(300<<20), f.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(name, SmallFile); !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), name) ||
		!strings.Contains(err.Error(), "1024 KiB") {
		t.Errorf("the error is %v", err)
	}
}
