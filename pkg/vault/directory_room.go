package vault

import (
	"fmt"
	"io"
	"io/fs"

	"github.com/sky-shift/skyctl/pkg/diskspace"
)

const (
	// spareBytes is the room that the disk keeps beside the files: skyd's etcd and Temporal are mostly on the same one.
	spareBytes = 32 << 20
	// checkedChunk is how much is written between two looks at the room.
	checkedChunk = 4 << 20
)

// requireRoom refuses to write more bytes than the quota or the disk has room for.
func (d *Directory) requireRoom(more int64) error {
	var used uint64
	err := d.walk(func(_ string, info fs.FileInfo) error {
		used += toBytes(info.Size())
		return nil
	})
	if err != nil {
		return diskError("measuring "+d.dir, err)
	}
	need := toBytes(more)
	if used+need > d.quota {
		return &Error{Kind: QuotaReached, Message: fmt.Sprintf(
			"the snapshots in %s may need %s together: %s are used, "+
				"and %s more are needed", d.dir, formatBytes(d.quota), formatBytes(used), formatBytes(need))}
	}
	space, err := diskspace.ReadSpace(d.dir)
	if err != nil {
		return diskError("measuring the disk of "+d.dir, err)
	}
	if space.Free < need+spareBytes {
		return &Error{Kind: DiskFull, Message: fmt.Sprintf("the disk of %s has too little room: %s are free, %s are "+
			"needed", d.dir, formatBytes(space.Free), formatBytes(need+spareBytes))}
	}
	return nil
}

func toBytes(n int64) uint64 { return uint64(max(n, 0)) } //nolint:gosec // not negative

// formatBytes rounds up to MiB.
func formatBytes(n uint64) string { return fmt.Sprintf("%d MiB", (n+1<<20-1)>>20) }

// roomWriter writes a file of a directory as long as there is room. It counts what it has written.
type roomWriter struct {
	w       io.Writer
	dir     *Directory
	written int64
}

func (r *roomWriter) Write(p []byte) (int, error) {
	if err := r.dir.requireRoom(int64(len(p))); err != nil {
		return 0, err
	}
	n, err := r.w.Write(p)
	r.written += int64(n)
	return n, err
}
