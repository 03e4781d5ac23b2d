package cli

import (
	"fmt"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/diskspace"
	"github.com/sky-shift/skyctl/pkg/printable"
)

// diskSpaceError says that the disk of the state directory has too little room.
type diskSpaceError struct{ problem, consequence string }

func (e *diskSpaceError) Error() string {
	return fmt.Sprintf("%s: %s; %s", printable.Line(e.problem), e.consequence, diskspace.Hint)
}

// readDiskProblem says what is wrong with the disk of the state directory; empty where nothing is, or where it can't be
// looked at.
func readDiskProblem(cfg *config.Config) (problem string, full bool) {
	if cfg.IsExternal() {
		return "", false
	}
	space, err := diskspace.ReadSpace(cfg.Dir)
	if err != nil { // not there yet
		return "", false
	}
	return space.DescribeProblem(), space.IsFull()
}

// warnLowDisk tells a person, once, that the server can't do its work for want of room.
func (a *app) warnLowDisk(cfg *config.Config) {
	problem, full := readDiskProblem(cfg)
	switch {
	case problem == "" || a.diskTold:
		return
	case full:
		problem += ": nothing is looked after, and what is shown may be out of date; "
	default:
		problem += ": no cluster is created; "
	}
	a.diskTold = true
	fmt.Fprintln(a.env.Err, "Warning: "+printable.Line(problem+diskspace.Hint))
}

// requireDiskToStart refuses to start a server that could not work.
func requireDiskToStart(cfg *config.Config) error {
	if problem, full := readDiskProblem(cfg); full {
		return &diskSpaceError{problem, "the server can't work"}
	}
	return nil
}

// requireDiskToCreate refuses to create a cluster that might not be looked after.
func requireDiskToCreate(cfg *config.Config) error {
	if problem, _ := readDiskProblem(cfg); problem != "" {
		return &diskSpaceError{problem, "no cluster is created while its state may not be kept"}
	}
	return nil
}

// diskState is what server status says of the disk, for programs.
type diskState struct {
	Dir       string `json:"dir"`
	FreeBytes uint64 `json:"free_bytes"`
	AllBytes  uint64 `json:"all_bytes"`
	Problem   string `json:"problem,omitempty"`
}

// readDiskState looks at the disk of the state directory, and tries to write there.
func readDiskState(cfg *config.Config) (*diskState, error) {
	space, err := diskspace.ReadSpace(cfg.Dir)
	if err != nil {
		return nil, nil //nolint:nilerr // there is no state yet
	}
	s := &diskState{Dir: cfg.Dir, FreeBytes: space.Free, AllBytes: space.Total, Problem: space.DescribeProblem()}
	if s.Problem == "" {
		if err := diskspace.CheckWritable(cfg.Dir); err != nil {
			s.Problem = err.Error()
		}
	}
	if s.Problem == "" || !space.IsFull() && space.IsLow() {
		return s, nil
	}
	return s, &diskSpaceError{s.Problem, "the server can't work"}
}

func (s *diskState) formatSpace() string {
	const gib = 1 << 30
	text := fmt.Sprintf("%.1f of %.1f GiB free", float64(s.FreeBytes)/gib, float64(s.AllBytes)/gib)
	if s.Problem != "" {
		text = s.Problem + "; " + diskspace.Hint
	}
	return text
}
