package cli

import (
	"fmt"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/daemon"
	build "github.com/sky-shift/skyctl/pkg/version"
)

// What a command is given is either used or it says that it is not: a worker reads its settings when it starts, and may be of
// another version than this program. Settings of one cluster travel with its spec (config.RecordIn).

// restartServer is how a skyd on this machine takes up other settings, or becomes another version.
const restartServer = "skyctl server stop && skyctl server start"

// workerView is what this command knows of whoever does the work.
type workerView struct {
	where   string // as a sentence begins with it
	level   int    // what it knows of specs; 0: a worker of before
	differs []config.Difference
	remedy  string
}

// compareServer compares this command with the skyd dev that it is about to use. It is an error where a flag can't be honoured.
func (a *app) compareServer(cfg *config.Config, state daemon.State) error {
	a.worker = &workerView{
		where: fmt.Sprintf("the running server (process %d)", state.PID), level: state.Level,
		differs: cfg.Differences(state.Settings), remedy: "to have it used: " + restartServer,
	}
	if text := versionNote(build.Get().Version, state.Version, a.worker.where, restartServer); text != "" {
		a.note(text)
	}
	return a.noteDifferences()
}

// compareWorker is compareServer for the worker of a team, which said what it is when it planned the cluster; nil of one that
// did not.
func (a *app) compareWorker(cfg *config.Config, w *api.WorkerInfo) error {
	a.worker = &workerView{where: "the team's worker", remedy: "set it where skyd worker runs, and start that anew"}
	if w == nil {
		return nil
	}
	a.worker.where += " (" + w.Where + ")"
	a.worker.level, a.worker.differs = w.Level, cfg.Differences(w.Settings)
	if text := versionNote(build.Get().Version, w.Version, a.worker.where, "start it anew as that version"); text != "" {
		a.note(text)
	}
	return a.noteDifferences()
}

// noteDifferences tells all but those that accept refuses, and refuses those that were asked for with this very command.
func (a *app) noteDifferences() error {
	var refused []string
	for _, d := range a.worker.differs {
		text := a.worker.differenceText(d)
		if a.creates != nil && config.Decides(d.Key, *a.creates) {
			continue
		}
		if d.ByFlag {
			refused = append(refused, text)
			continue
		}
		a.note(text)
	}
	if len(refused) > 0 {
		return usagef("%s", strings.Join(refused, "\n"))
	}
	return nil
}

func (w *workerView) differenceText(d config.Difference) string {
	return fmt.Sprintf("%s uses %s %s, and not %s (%s); %s", w.where, d.Key, orUnset(d.Used), orUnset(d.Given), d.From, w.remedy)
}

func orUnset(v string) string {
	if v == "" {
		return "unset"
	}
	return v
}

// accept refuses a worker that would ignore what a create was given: settings of its own that decide which machines there are
// and what runs on them, and fields of the spec that it does not know.
func (a *app) accept(spec api.ClusterSpec, asked []string) error {
	var refused []string
	for _, d := range a.worker.differs {
		if config.Decides(d.Key, spec) {
			refused = append(refused, a.worker.differenceText(d))
		}
	}
	if need := spec.Level(); max(a.worker.level, 1) < need {
		refused = append(refused, fmt.Sprintf("%s is of a version that ignores what this create asks for with %s; %s",
			a.worker.where, strings.Join(asked, ", "), strings.TrimPrefix(a.worker.remedy, "to have it used: ")))
	}
	if len(refused) > 0 {
		return usagef("%s", strings.Join(refused, "\n"))
	}
	return nil
}

// versionNote says that the other side is of another version, and what to do; empty where it is not.
func versionNote(own, other, where, restart string) string {
	switch {
	case own == other || other == "":
		return ""
	case released(own) && released(other) && semver.Compare(own, other) < 0:
		return fmt.Sprintf("this skyctl is %s, older than %s, which is skyd %s: install skyctl %s", own, where, other, other)
	case released(own) && released(other):
		return fmt.Sprintf("this skyctl is %s, newer than %s, which is skyd %s: install skyd %s there, then %s", own, where, other, own, restart)
	}
	return fmt.Sprintf("this skyctl is %s, and %s is skyd %s: have both of the same version; %s", own, where, other, restart)
}

// released says whether a version has an order; what was built in between, such as v1.2.0-5-g0123456, has none.
func released(v string) bool { return semver.IsValid(v) && !strings.Contains(v, "-g") }
