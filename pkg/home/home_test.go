package home

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

var (
	here      = Location{Host: "host-a", Hostname: "ann", Dir: "/home/ann/.skyconf"}
	elsewhere = Location{Host: "host-b", Hostname: "bob", Dir: "/home/ann/.skyconf"}
)

// at returns the record of a home at a location and start.
func at(p Location, starts int64, start string) api.Home {
	h := api.Home{Installation: "inst", Starts: starts, Start: start}
	p.RecordIn(&h)
	return h
}

func TestCompareRecords(t *testing.T) {
	copied := here
	copied.Dir = "/home/ann/copy"
	renamed := here
	renamed.Hostname = "ann-at-work"
	noID, otherName := here, here
	noID.Host, otherName.Host, otherName.Hostname = "", "", "bob"
	in := func(h api.Home) *api.Home { return &h }
	for _, tt := range []struct {
		name     string
		recorded api.Home
		here     Location
		ledger   *api.Home
		want     []api.HomeFindingKind
		says     string
	}{
		{"same location and start", at(here, 5, "x"), here, in(at(here, 5, "x")), nil, ""},
		{"stopped before the ledger was written", at(here, 6, "y"), here, in(at(here, 5, "x")), nil, ""},
		{"no ledger", at(here, 5, "x"), here, nil, nil, ""},
		{"renamed computer", at(here, 5, "x"), renamed, nil, nil, ""},
		{"computer without an id", at(noID, 5, "x"), here, nil, nil, ""},
		{"other computer name, no id", at(here, 5, "x"), otherName, nil,
			[]api.HomeFindingKind{api.HomeOnOtherHost}, "bob"},
		{"renamed computer without an id", at(noID, 5, "x"), otherName, in(at(noID, 5, "x")), nil,
			""},
		{"other start in the ledger, no id", at(noID, 5, "x"), otherName, in(at(noID, 4, "w")),
			[]api.HomeFindingKind{api.HomeOnOtherHost}, "bob"},
		{"first start of this version", api.Home{}, here, nil, nil, ""},
		{"moved or copied directory", at(here, 5, "x"), copied, nil, []api.HomeFindingKind{api.HomeInOtherDirectory},
			"/home/ann/.skyconf on ann"},
		{"copied to another computer", at(here, 5, "x"), elsewhere, nil, []api.HomeFindingKind{api.HomeOnOtherHost},
			"this is bob"},
		{"restored backup", at(here, 5, "x"), here, in(at(here, 9, "z")),
			[]api.HomeFindingKind{api.HomeStartedElsewhere}, "for example from a backup"},
		{"restored backup of an earlier version", api.Home{}, here, in(at(here, 2, "z")),
			[]api.HomeFindingKind{api.HomeStartedElsewhere}, "start 2"},
		{"two starts from one state", at(here, 5, "x"), here, in(at(here, 5, "y")),
			[]api.HomeFindingKind{api.HomeStartedElsewhere}, "start 5"},
		{"adopted copy elsewhere", at(here, 5, "x"), here, in(at(copied, 6, "y")),
			[]api.HomeFindingKind{api.HomeStartedElsewhere}, "/home/ann/copy on ann"},
		{"adopted copy, stopped before the ledger was written", at(copied, 7, "y"), copied, in(at(here, 6, "x")), nil,
			""},
		{"team's etcd", at(Location{}, 5, "x"), Location{}, nil, nil, ""},
		{"moved to a team's etcd", at(here, 5, "x"), Location{}, nil, []api.HomeFindingKind{api.HomeInOtherDirectory},
			"this is a team's etcd"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			found := CompareRecords(tt.recorded, tt.here, tt.ledger)
			var kinds []api.HomeFindingKind
			text := ""
			for _, f := range found {
				kinds, text = append(kinds, f.Kind), text+f.Message
			}
			if len(kinds) != len(tt.want) || len(kinds) > 0 && kinds[0] != tt.want[0] ||
				!strings.Contains(text, tt.says) {
				t.Errorf("found %v, want %v, saying %q", found, tt.want, tt.says)
			}
		})
	}
}

func TestCompareMark(t *testing.T) {
	mine := at(here, 5, "x")
	mark := func(h api.Home) *Mark {
		m := MarkOf(h)
		return &m
	}
	other := at(elsewhere, 9, "y")
	other.Installation = "another"
	for _, tt := range []struct {
		name string
		seen *Mark
		says string
	}{
		{"no mark", nil, ""},
		{"ours", mark(mine), ""},
		{"older start", mark(at(here, 4, "w")), ""},
		{"older start before a move", mark(at(elsewhere, 4, "w")), ""},
		{"newer start on another computer", mark(at(elsewhere, 6, "y")),
			"machine sky-a-0 was last managed from bob (start 6; this state is at start 5)"},
		{"newer start at the recorded location", mark(at(here, 6, "y")), "from " + here.Dir + " on " + here.Hostname +
			", in a newer state"},
		{"another start from the same state", mark(at(elsewhere, 5, "y")), "start 5"},
		{"another installation", mark(other), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := CompareMark(mine, "sky-a-0", tt.seen)
			if (f == nil) != (tt.says == "") || f != nil &&
				(!strings.Contains(f.Message, tt.says) || f.Starts != tt.seen.Starts) {
				t.Errorf("found %v, want %q", f, tt.says)
			}
		})
	}
}

func TestMarkRoundTrip(t *testing.T) {
	for _, h := range []api.Home{at(here, 5, "x"), at(Location{}, 7, "y")} {
		if got := ParseMark(MarkOf(h).String()); got == nil || *got != MarkOf(h) {
			t.Errorf("wrote %v, read %v", MarkOf(h), got)
		}
	}
	for _, text := range []string{"", "hello\n", "installation=a\n", "starts=5\n", "installation=a\nstarts=many\n"} {
		if m := ParseMark(text); m != nil {
			t.Errorf("%q was parsed as %v", text, m)
		}
	}
	if text := MarkOf(at(here, 5, "x")).String(); strings.Contains(text, here.Dir) {
		t.Errorf("the mark discloses the path: %s", text)
	}
}

func TestLedgerIsReadableByOwnerOnly(t *testing.T) {
	l := Ledger{Dir: filepath.Join(t.TempDir(), "state", "skyctl")}
	if h, err := l.ReadHome("inst"); h != nil || err != nil {
		t.Errorf("empty ledger: %v, %v", h, err)
	}
	want := at(here, 5, "x")
	if err := l.WriteHome(want); err != nil {
		t.Fatal(err)
	}
	if h, err := l.ReadHome("inst"); err != nil || h == nil || *h != want {
		t.Errorf("read %v, %v", h, err)
	}
	err := filepath.WalkDir(l.Dir, func(name string, d fs.DirEntry, err error) error {
		if info, err := d.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is readable by others: %v, %v", name, info.Mode(), err)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	for _, id := range []string{"", "..", "a/b", "../../etc"} {
		if _, err := l.ReadHome(id); err == nil {
			t.Errorf("id %q was accepted", id)
		}
	}
	if h, err := (Ledger{}).ReadHome("inst"); h != nil || err != nil || (Ledger{}).WriteHome(want) != nil {
		t.Errorf("zero ledger: %v, %v", h, err)
	}
}

func TestLocationResolvesLinks(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if a, b := FindLocation(dir), FindLocation(link); a != b {
		t.Errorf("directory %v, link %v", a, b)
	}
}
