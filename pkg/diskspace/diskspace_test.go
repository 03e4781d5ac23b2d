package diskspace_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/diskspace"
	"github.com/sky-shift/skyctl/test/smalldisk"
)

func TestSpaceIsJudgedByBytesAndInodes(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct {
		name            string
		space           diskspace.Space
		low, full, room bool
		says            string
	}{
		{"plenty", diskspace.Space{Free: 1000 * mib, Files: 1e6, FreeFiles: 1e5}, false, false, true, ""},
		{"no fixed number of files", diskspace.Space{Free: 1000 * mib}, false, false, true, ""},
		{"nearly full", diskspace.Space{Dir: "/x", Free: 100 * mib, Total: 900 * mib}, true, false, true,
			"/x is nearly full: 100 of 900 MiB"},
		{"little more than full", diskspace.Space{Dir: "/x", Free: 20 * mib, Total: 900 * mib}, true, false, false,
			"nearly full"},
		{"full", diskspace.Space{Dir: "/x", Free: 3 * mib, Total: 900 * mib}, true, true, false,
			"is full: 3 of 900 MiB"},
		{"no file names", diskspace.Space{Dir: "/x", Free: 1000 * mib, Files: 1e6, FreeFiles: 3}, true, true, false,
			"is full: 3 of 1000000 file names"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.space
			if s.IsLow() != tt.low || s.IsFull() != tt.full || s.HasRoom() != tt.room ||
				!strings.Contains(s.DescribeProblem(), tt.says) || (s.DescribeProblem() == "") != (tt.says == "") {
				t.Errorf("low %v, full %v, room %v, %q", s.IsLow(), s.IsFull(), s.HasRoom(), s.DescribeProblem())
			}
		})
	}
}

func TestWritingFindsAFullDisk(t *testing.T) {
	dir := smalldisk.Mount(t, 4)
	if err := diskspace.CheckWritable(dir); err != nil {
		t.Fatal(err)
	}
	filling, err := smalldisk.Fill(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := diskspace.ReadSpace(dir); err != nil || s.Free != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if err := diskspace.CheckWritable(dir); !diskspace.IsFullError(err) || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v", err)
	}
	if err := errors.Join(filling.Free(), diskspace.CheckWritable(dir)); err != nil {
		t.Error(err)
	}
}
