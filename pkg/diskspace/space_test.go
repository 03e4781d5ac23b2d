package diskspace

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestSpaceReservedForRootIsNotFree(t *testing.T) {
	got := spaceOf("/x", unix.Statfs_t{Bsize: 4096, Blocks: 100, Bfree: 80, Bavail: 20, Files: 9, Ffree: 5})
	if want := (Space{Dir: "/x", Free: 20 * 4096, Total: 100 * 4096, FreeFiles: 5, Files: 9}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
