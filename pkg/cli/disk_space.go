package cli

import (
	"fmt"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/diskspace"
	"github.com/sky-shift/skyctl/pkg/printable"
)

// diskSpaceError says that the disk of the state directory is too full.
type diskSpaceError struct{ problem, consequence string }

func (e *diskSpaceError) Error() string {
	return fmt.Sprintf("%s: %s; %s", printable.Line(e.problem), e.consequence, diskspace.Hint)
}

// readDiskProblem says what is wrong with the disk of the state directory. It is empty if nothing is wrong, or if the
// disk cannot be read.
func readDiskProblem(cfg *config.Config) (problem string, full bool) {
	if cfg.IsExternal() {
		return "", false
	}
	space, err := diskspace.ReadSpace(cfg.Dir)
	if err != nil { // the directory does not exist yet
		return "", false
	}
	return space.DescribeProblem(), space.IsFull()
}

// warnLowDisk warns once that the server cannot work because the disk is too full.
func (a *app) warnLowDisk(cfg *config.Config) {
	problem, full := readDiskProblem(cfg)
	switch {
	case problem == "" || a.diskWarned:
		return
	case full:
		problem += ": skyd is not managing clusters, and the output may be out of date; "
	default:
		problem += ": new clusters are refused; "
	}
	a.diskWarned = true
	fmt.Fprintln(a.env.Err, "Warning: "+printable.Line(problem+diskspace.Hint))
}

// requireDiskToStart refuses to start a server on a full disk.
func requireDiskToStart(cfg *config.Config) error {
	if problem, full := readDiskProblem(cfg); full {
		return &diskSpaceError{problem, "the server cannot work"}
	}
	return nil
}

// requireDiskToCreate refuses to create a cluster while the disk is low.
func requireDiskToCreate(cfg *config.Config) error {
	if problem, _ := readDiskProblem(cfg); problem != "" {
		return &diskSpaceError{problem, "new clusters are refused because their state might be lost"}
	}
	return nil
}

// diskState is the disk in the JSON of server status.
type diskState struct {
	Dir       string `json:"dir"`
	FreeBytes uint64 `json:"free_bytes"`
	AllBytes  uint64 `json:"all_bytes"`
	Problem   string `json:"problem,omitempty"`
}

// readDiskState reads the free space of the state directory, and tries to write there.
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
	return s, &diskSpaceError{s.Problem, "the server cannot work"}
}

func (s *diskState) formatSpace() string {
	const gib = 1 << 30
	text := fmt.Sprintf("%.1f of %.1f GiB free", float64(s.FreeBytes)/gib, float64(s.AllBytes)/gib)
	if s.Problem != "" {
		text = s.Problem + "; " + diskspace.Hint
	}
	return text
}
