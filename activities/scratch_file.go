package activities

import (
	"fmt"
	"os"
	"runtime"

	"github.com/sky-shift/skyctl/pkg/diskspace"
)

const (
	// SpareBytes is the room that the disk of skyd's databases keeps while snapshots are copied.
	SpareBytes = 64 << 20
	// checkedChunk is how much is written to a scratch file between two looks at the room.
	checkedChunk = 4 << 20
)

// ScratchFile is a file for the content of a snapshot that nobody else can open. The system frees it if this process
// dies, where it can; otherwise pkg/vault removes it later.
type ScratchFile struct {
	// Path opens it in this process.
	Path string
	file *os.File
	dir  string
	name string // to remove; empty if it has none
	// unchecked is how much was written since the last look at the room.
	unchecked int
}

// NewScratchFile makes an empty file in a directory, which it makes if it is missing.
func NewScratchFile(dir string) (*ScratchFile, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, ".collect-") // pkg/vault removes what a process leaves that is killed right here
	if err != nil {
		return nil, err
	}
	s := &ScratchFile{file: f, dir: dir, Path: f.Name(), name: f.Name()}
	if runtime.GOOS == "linux" && os.Remove(f.Name()) == nil {
		s.Path, s.name = fmt.Sprintf("/proc/self/fd/%d", f.Fd()), ""
	}
	return s, nil
}

// Write implements io.Writer. It leaves the disk the room that skyd's databases need.
func (s *ScratchFile) Write(p []byte) (int, error) {
	if s.unchecked += len(p); s.unchecked >= checkedChunk {
		s.unchecked = 0
		space, err := diskspace.ReadSpace(s.dir)
		if err != nil {
			return 0, err
		}
		if space.Free < SpareBytes {
			return 0, fmt.Errorf("the disk of %s has too little room: %d MiB are free", s.dir, space.Free>>20)
		}
	}
	return s.file.Write(p)
}

// Close removes the file.
func (s *ScratchFile) Close() {
	if s.name != "" {
		_ = os.Remove(s.name)
	}
	_ = s.file.Close()
}
