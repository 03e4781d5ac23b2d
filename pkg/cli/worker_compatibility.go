package cli

import (
	"fmt"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
)

// A command uses every setting and flag or reports that it cannot: a worker reads its settings when it starts, and may
// have another version than this program. Settings of one cluster travel with its spec (config.ApplyToSpec).

// restartServerCommand makes a skyd on this computer use other settings or another version.
const restartServerCommand = "skyctl server restart"

// knownWorker is what this command knows about the worker that runs its operation.
type knownWorker struct {
	where   string // starts a sentence
	level   int    // the spec level that it supports; 0 for an older worker
	differs []config.SettingDifference
	apply   string // how to apply another setting
	upgrade string // how to install another version
}

// checkServerCompatibility compares this command with the skyd dev that it is about to use. It returns an error if a
// flag cannot be applied.
func (a *app) checkServerCompatibility(cfg *config.Config, state daemon.State) error {
	a.worker = &knownWorker{
		where: fmt.Sprintf("the running server (process %d)", state.PID), level: state.Level,
		differs: cfg.DifferencesFrom(state.Settings), apply: "to apply it: " + restartServerCommand,
		upgrade: restartServerCommand,
	}
	if s, err := a.findService(cfg); err == nil && s != nil { // it does not have this command's environment
		a.worker.apply = fmt.Sprintf("to apply it, set it in %s and run %s, or run skyctl server install",
			cfg.ConfigFile(), restartServerCommand)
	}
	return a.noteSettingDifferences()
}

// checkWorkerCompatibility is checkServerCompatibility for a team's worker, which describes itself when it plans the
// cluster. w is nil for a worker that did not.
func (a *app) checkWorkerCompatibility(cfg *config.Config, w *operation.WorkerInfo) error {
	a.worker = &knownWorker{where: "the team's worker", apply: "set it where skyd worker runs, and restart that",
		upgrade: "install this version where skyd worker runs, and restart that"}
	if w == nil {
		return nil
	}
	a.worker.where += " (" + w.Where + ")"
	a.worker.level, a.worker.differs = w.Level, cfg.DifferencesFrom(w.Settings)
	a.noteVersionSkewOnce(cfg, versionSkew{version: w.Version, start: w.Where, where: a.worker.where,
		remedy: "install that version where skyd worker runs, and restart that"})
	return a.noteSettingDifferences()
}

// noteSettingDifferences prints the differences that requireCapableWorker does not refuse. It refuses those that come
// from a flag of this command.
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

// findUnknown returns the flags, variables and settings of a create whose fields the worker does not know.
func (w *knownWorker) findUnknown(asked []askedField) []string {
	var unknown []string
	for _, f := range asked {
		if f.level > max(w.level, 1) {
			unknown = append(unknown, f.from)
		}
	}
	return unknown
}

// requireCapableWorker refuses a worker that would ignore a part of the request: a worker with other settings that
// affect the cluster, or that does not know a field of the spec.
func (a *app) requireCapableWorker(spec api.GroupSpec, asked []askedField) error {
	var refused []string
	for _, d := range a.worker.differs {
		if config.AffectsCluster(d.Key, spec) {
			refused = append(refused, a.worker.formatDifference(d))
		}
	}
	if level := max(a.worker.level, 1); level < max(spec.RequiredLevel(), api.ObjectLevel) {
		unknown := a.worker.findUnknown(asked)
		switch {
		case len(unknown) > 0:
		case level < spec.RequiredLevel():
			unknown = []string{"config.yaml"}
		default:
			unknown = []string{nameUnknownObjects(level)}
		}
		refused = append(refused, fmt.Sprintf("%s is an older version that does not know %s; %s",
			a.worker.where, strings.Join(unknown, ", "), a.worker.upgrade))
	}
	if len(refused) > 0 {
		return usageErrorf("%s", strings.Join(refused, "\n"))
	}
	return nil
}
