package activities

import (
	"testing"

	"github.com/sky-shift/skyctl/test/smalldisk"
)

func TestCopyLeavesRoomForTheDatabasesOfSkyd(t *testing.T) {
	s, err := NewScratchFile(smalldisk.Mount(t, 32))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 8 {
		if _, err = s.Write(make([]byte, 1<<20)); err != nil {
			return
		}
	}
	t.Error("it fills a disk that has less than the room to spare")
}
