package daemon

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// The lock of macOS, tested here through the same system call.
func TestFlockHasOneHolderAndQueriesDoNotDropIt(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	openFile := func() *os.File {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	holder, other := openFile(), openFile()
	if locked, err := isLockedByFlock(other); locked || err != nil {
		t.Errorf("before: %v, %v", locked, err)
	}
	if locked, err := lockByFlock(holder); !locked || err != nil {
		t.Fatalf("the query kept the lock: %v, %v", locked, err)
	}
	for range 2 {
		if locked, err := isLockedByFlock(openFile()); !locked || err != nil {
			t.Errorf("held: %v, %v", locked, err)
		}
	}
	if locked, err := lockByFlock(other); locked || err != nil {
		t.Errorf("a second holder: %v, %v", locked, err)
	}
	_ = holder.Close()
	if locked, err := lockByFlock(other); !locked || err != nil {
		t.Errorf("after the holder closed the file: %v, %v", locked, err)
	}
}

func TestLockWaitsForAQuery(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	query, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	holder, err := os.OpenFile(name, os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holder.Close() }()
	if got, err := tryFlock(query, unix.LOCK_SH); !got || err != nil {
		t.Fatal(got, err)
	}
	go func() { _ = query.Close() }()
	if locked, err := lockByFlock(holder); !locked || err != nil {
		t.Errorf("a query that ended at once kept the lock from its taker: %v, %v", locked, err)
	}
}
