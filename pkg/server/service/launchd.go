package service

import (
	"context"
	"errors"
	"strconv"

	"github.com/sky-shift/skyctl/pkg/lazyregexp"
)

// launchdCommands returns the arguments of launchctl for a verb. A job that is loaded runs, or is started again by
// launchd; one that is not loaded is started by loading it.
func launchdCommands(v verb, loaded bool, uid int, label, file string) [][]string {
	domain := "gui/" + strconv.Itoa(uid)
	job := domain + "/" + label
	switch {
	case v == enable:
		return [][]string{{"enable", job}}
	case (v == disable || v == stop) && loaded:
		return [][]string{{"bootout", job}}
	case v == restart && loaded: // a job that is only started again keeps its former definition
		return [][]string{{"bootout", job}, {"bootstrap", domain, file}}
	case (v == start || v == restart) && !loaded:
		return [][]string{{"bootstrap", domain, file}}
	case v == start:
		return [][]string{{"kickstart", job}}
	}
	return nil
}

func (s *Service) runLaunchd(ctx context.Context, v verb) error {
	loaded, _, err := s.readLaunchd(ctx)
	if err != nil {
		return err
	}
	for _, arguments := range launchdCommands(v, loaded, s.person.UID, s.name, s.file) {
		if _, err := s.computer.Run(ctx, append([]string{"launchctl"}, arguments...), nil); err != nil {
			return err
		}
	}
	return nil
}

// launchdPID matches the process in what launchctl print says of a job.
var launchdPID = lazyregexp.New(`(?m)^\s*pid = (\d+)$`)

// readLaunchd reports whether launchd knows the job, and its process.
func (s *Service) readLaunchd(ctx context.Context) (loaded bool, pid int, err error) {
	text, err := s.computer.Run(ctx,
		[]string{"launchctl", "print", "gui/" + strconv.Itoa(s.person.UID) + "/" + s.name}, nil)
	var failed *CommandError
	if errors.As(err, &failed) { // it exits with 113 for a job that is not loaded
		return false, 0, nil
	}
	if err != nil {
		return false, 0, err
	}
	if found := launchdPID.FindStringSubmatch(text); found != nil {
		pid, err = strconv.Atoi(found[1])
	}
	return true, pid, err
}

func (s *Service) findLaunchdPID(ctx context.Context) (int, error) {
	_, pid, err := s.readLaunchd(ctx)
	return pid, err
}
