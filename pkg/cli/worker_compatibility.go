package cli

import (
	"fmt"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
	build "github.com/sky-shift/skyctl/pkg/version"
)

// What a command is given is either used or it says that it is not: a worker reads its settings when it starts, and may
// be of another version than this program. Settings of one cluster travel with its spec (config.RecordIn).

// restartServerCommand is how a skyd on this machine takes up other settings, or becomes another version.
const restartServerCommand = "skyctl server stop && skyctl server start"

// knownWorker is what this command knows of whoever does the work.
type knownWorker struct {
	where   string // as a sentence begins with it
	level   int    // what it knows of specs; 0: a worker of before
	differs []config.SettingDifference
	apply   string // how it takes up another setting
	upgrade string // how it becomes another version
}

// checkServerCompatibility compares this command with the skyd dev that it is about to use. It is an error where a flag
// can't be honoured.
func (a *app) checkServerCompatibility(cfg *config.Config, state daemon.State) error {
	a.worker = &knownWorker{
		where: fmt.Sprintf("the running server (process %d)", state.PID), level: state.Level,
		differs: cfg.DifferencesFrom(state.Settings), apply: "to apply it: " + restartServerCommand,
		upgrade: restartServerCommand,
	}
	if text := formatVersionNote(build.ReadBuild().Version, state.Version, a.worker.where,
		restartServerCommand); text != "" {
		a.printNote(text)
	}
	return a.noteSettingDifferences()
}

// checkWorkerCompatibility is checkServerCompatibility for the worker of a team, which said what it is when it planned
// the cluster; nil of one that did not.
func (a *app) checkWorkerCompatibility(cfg *config.Config, w *operation.WorkerInfo) error {
	a.worker = &knownWorker{where: "the team's worker", apply: "set it where skyd worker runs, and restart that",
		upgrade: "install this version where skyd worker runs, and restart that"}
	if w == nil {
		return nil
	}
	a.worker.where += " (" + w.Where + ")"
	a.worker.level, a.worker.differs = w.Level, cfg.DifferencesFrom(w.Settings)
	if text := formatVersionNote(build.ReadBuild().Version, w.Version, a.worker.where,
		"start it anew as that version"); text != "" {
		a.printNote(text)
	}
	return a.noteSettingDifferences()
}

// noteSettingDifferences tells all but those that accept refuses, and refuses those that were asked for with this very
// command.
func (a *app) noteSettingDifferences() error {
	var refused []string
	for _, d := range a.worker.differs {
		text := a.worker.formatDifference(d)
		if a.creates != nil && config.AffectsCluster(d.Key, *a.creates) {
			continue
		}
		if d.ByFlag {
			refused = append(refused, text)
			continue
		}
		a.printNote(text)
	}
	if len(refused) > 0 {
		return usageErrorf("%s", strings.Join(refused, "\n"))
	}
	return nil
}

func (w *knownWorker) formatDifference(d config.SettingDifference) string {
	return fmt.Sprintf("%s uses %s %s, and not %s (%s); %s", w.where, d.Key, valueOrUnset(d.Used),
		valueOrUnset(d.Given), d.From, w.apply)
}

func valueOrUnset(v string) string {
	if v == "" {
		return "unset"
	}
	return v
}

// askedField is a flag, variable or setting of a create, with the level of the field that it fills.
type askedField struct {
	level int
	from  string
}

// findUnknown returns what a create was given that fills fields which the worker does not know.
func (w *knownWorker) findUnknown(asked []askedField) []string {
	var unknown []string
	for _, f := range asked {
		if f.level > max(w.level, 1) {
			unknown = append(unknown, f.from)
		}
	}
	return unknown
}

// requireCapableWorker refuses a worker that would ignore what a create was given: settings of its own that decide
// which machines there are and what runs on them, and fields of the spec that it does not know.
func (a *app) requireCapableWorker(spec api.ClusterSpec, asked []askedField) error {
	var refused []string
	for _, d := range a.worker.differs {
		if config.AffectsCluster(d.Key, spec) {
			refused = append(refused, a.worker.formatDifference(d))
		}
	}
	if max(a.worker.level, 1) < spec.RequiredLevel() {
		unknown := a.worker.findUnknown(asked)
		if len(unknown) == 0 {
			unknown = []string{"config.yaml"}
		}
		refused = append(refused, fmt.Sprintf("%s is an older version that does not know %s; %s",
			a.worker.where, strings.Join(unknown, ", "), a.worker.upgrade))
	}
	if len(refused) > 0 {
		return usageErrorf("%s", strings.Join(refused, "\n"))
	}
	return nil
}

// formatVersionNote says that the other side is of another version, and what to do; empty where it is not.
func formatVersionNote(own, other, where, restart string) string {
	switch {
	case own == other || other == "":
		return ""
	case isReleasedVersion(own) && isReleasedVersion(other) && semver.Compare(own, other) < 0:
		return fmt.Sprintf("this skyctl is %s, older than %s, which is skyd %s: install skyctl %s", own, where, other,
			other)
	case isReleasedVersion(own) && isReleasedVersion(other):
		return fmt.Sprintf("this skyctl is %s, newer than %s, which is skyd %s: install skyd %s there, then %s", own,
			where, other, own, restart)
	}
	return fmt.Sprintf("this skyctl is %s, and %s is skyd %s: have both of the same version; %s", own, where, other,
		restart)
}

// isReleasedVersion says whether a version has an order; what was built in between, such as v1.2.0-5-g0123456, has
// none.
func isReleasedVersion(v string) bool { return semver.IsValid(v) && !strings.Contains(v, "-g") }
