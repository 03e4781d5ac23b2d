package cli

import (
	"fmt"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/disk"
)

// diskError says that the disk of the state directory has too little room.
type diskError struct{ problem, consequence string }

func (e *diskError) Error() string {
	return fmt.Sprintf("%s: %s; %s", clean(e.problem), e.consequence, disk.Hint)
}

// diskProblem says what is wrong with the disk of the state directory; empty where nothing is, or where it can't be looked at.
func diskProblem(cfg *config.Config) (problem string, full bool) {
	if cfg.External() {
		return "", false
	}
	space, err := disk.Look(cfg.Dir)
	if err != nil { // not there yet
		return "", false
	}
	return space.Problem(), space.Full()
}

// noteDisk tells a person, once, that the server can't do its work for want of room.
func (a *app) noteDisk(cfg *config.Config) {
	problem, full := diskProblem(cfg)
	switch {
	case problem == "" || a.diskTold:
		return
	case full:
		problem += ": nothing is looked after, and what is shown may be out of date; "
	default:
		problem += ": no cluster is created; "
	}
	a.diskTold = true
	fmt.Fprintln(a.env.Err, "Warning: "+clean(problem+disk.Hint))
}

// requireRoomToStart refuses to start a server that could not work.
func requireRoomToStart(cfg *config.Config) error {
	if problem, full := diskProblem(cfg); full {
		return &diskError{problem, "the server can't work"}
	}
	return nil
}

// requireRoomToCreate refuses to create a cluster that might not be looked after.
func requireRoomToCreate(cfg *config.Config) error {
	if problem, _ := diskProblem(cfg); problem != "" {
		return &diskError{problem, "no cluster is created while its state may not be kept"}
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

// lookAtDisk looks at the disk of the state directory, and tries to write there.
func lookAtDisk(cfg *config.Config) (*diskState, error) {
	space, err := disk.Look(cfg.Dir)
	if err != nil {
		return nil, nil //nolint:nilerr // there is no state yet
	}
	s := &diskState{Dir: cfg.Dir, FreeBytes: space.Free, AllBytes: space.Total, Problem: space.Problem()}
	if s.Problem == "" {
		if err := disk.Writable(cfg.Dir); err != nil {
			s.Problem = err.Error()
		}
	}
	if s.Problem == "" || !space.Full() && space.Low() {
		return s, nil
	}
	return s, &diskError{s.Problem, "the server can't work"}
}

func (s *diskState) text() string {
	const gib = 1 << 30
	text := fmt.Sprintf("%.1f of %.1f GiB free", float64(s.FreeBytes)/gib, float64(s.AllBytes)/gib)
	if s.Problem != "" {
		text = s.Problem + "; " + disk.Hint
	}
	return text
}
