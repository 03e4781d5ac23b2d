package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/home"
	"github.com/sky-shift/skyctl/pkg/printable"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
	"github.com/sky-shift/skyctl/pkg/server/service"
	"github.com/sky-shift/skyctl/pkg/store"
)

// uninstallPlan is what uninstall removes.
type uninstallPlan struct {
	service *service.Service
	content daemon.StateDirContent
	skyd    string

	belongings        daemon.Belongings
	belongingsOptions daemon.BelongingsOptions

	ledger string
	// contexts are the names of those that are the state directory, and contextItems says what is removed of them.
	contexts     []string
	contextItems []string
	// snapshots is how many snapshots of clusters become useless, and notes are further sentences.
	snapshots int
	notes     []string
	kept      []string
}

func (o *uninstallOptions) planWithSpinner(ctx context.Context, cfg *config.Config) (plan *uninstallPlan, err error) {
	err = o.runWithSpinner("Looking for machines, and for what skyctl keeps here", false,
		func(*terminal.Spinner) error {
			plan, err = o.makePlan(ctx, cfg)
			return err
		})
	return plan, err
}

// makePlan finds out what is removed. It refuses while machines exist.
func (o *uninstallOptions) makePlan(ctx context.Context, cfg *config.Config) (*uninstallPlan, error) {
	plan := &uninstallPlan{}
	var err error
	if plan.service, err = o.findService(cfg); err != nil {
		return nil, err
	}
	if s := plan.service; s != nil && s.IsOfSystem() && o.env.Computer.UID != 0 {
		return nil, &stateError{fmt.Errorf("skyd is the %s, which only root can remove: first run %s", s.Describe(),
			uninstallCommand(s))}
	}
	var shared *daemon.SharedDirError
	if err := daemon.RefuseSharedDir(cfg.Dir, o.env.Getenv("HOME")); errors.As(err, &shared) {
		return nil, &stateError{err}
	} else if err != nil {
		return nil, err
	}
	if cfg.IsExternal() {
		err = refuseFormerServer(cfg)
	} else {
		err = o.planServer(ctx, cfg, plan)
	}
	if err != nil {
		return nil, err
	}
	plan.content, err = daemon.ListStateDir(cfg, o.keepLogs, len(cfg.ForeignKeys) > 0)
	if err != nil {
		return nil, err
	}
	if id := plan.belongingsOptions.Installation; cfg.LedgerDir != "" && id != "" {
		path := filepath.Join(cfg.LedgerDir, id)
		if _, err := os.Stat(path); err == nil {
			plan.ledger = path
		}
	}
	plan.keepFiles(cfg)
	o.planContexts(cfg, plan)
	return plan, nil
}

// planContexts finds the contexts that are the state directory. A damaged file of contexts stays as it is.
func (o *uninstallOptions) planContexts(cfg *config.Config, plan *uninstallPlan) {
	names, problem := o.findOwnContexts(cfg.Dir)
	plan.contexts = names
	for _, name := range names {
		plan.contextItems = append(plan.contextItems, fmt.Sprintf("context %s (in %s)", name, o.contextsFile().Path))
	}
	if problem != "" {
		plan.notes = append(plan.notes, problem)
	}
}

// refuseFormerServer fails if a server ran on the state directory before external servers were configured: its machines
// are not among those of the team.
func refuseFormerServer(cfg *config.Config) error {
	state, err := hasState(cfg)
	if err != nil || !state {
		return err
	}
	return &stateError{fmt.Errorf("%s has the data of a server of this computer, whose machines may exist, and "+
		"external "+
		"servers are configured, Temporal (%s) and etcd (%s): run the command again without these settings", cfg.Dir,
		cfg.Temporal.Address, joinList(cfg.Etcd.Endpoints))}
}

// planServer looks for machines, and for what is outside the state directory.
func (o *uninstallOptions) planServer(ctx context.Context, cfg *config.Config, plan *uninstallPlan) error {
	state, err := hasState(cfg)
	if err != nil {
		return err
	}
	if state {
		err = o.refuseMachines(ctx, cfg, plan)
	} else {
		err = o.refuseLostState(cfg, plan)
	}
	if err != nil {
		return err
	}
	if plan.skyd, err = o.env.Skyd(); err != nil {
		return &serverError{err}
	}
	if plan.belongingsOptions.KeepImages, err = findOtherHome(cfg); err != nil {
		return err
	}
	plan.belongings, err = daemon.RunBelongings(ctx, cfg, plan.skyd, plan.belongingsOptions)
	if err != nil {
		return err
	}
	if n := len(plan.belongings.Machines); n > 0 {
		remedy := "skyctl delete orphans"
		if o.force { // the server may not start
			remedy = "docker rm --force --volumes " + strings.Join(plan.belongings.Machines, " ")
		}
		return &stateError{fmt.Errorf("the Docker engine has %s of this installation: %s. Delete them first: %s",
			render.FormatCount(n, "machine"), joinList(plan.belongings.Machines), remedy)}
	}
	if p := plan.belongings.Problem; p != "" {
		plan.notes = append(plan.notes, "What skyctl has on the Docker engine stays, if anything: "+p)
	}
	plan.kept = append(plan.kept, plan.belongings.Kept...)
	return nil
}

// refuseMachines fails if machines exist, or if that is unknown and --force is not given.
func (o *uninstallOptions) refuseMachines(ctx context.Context, cfg *config.Config, plan *uninstallPlan) error {
	ops, err := o.connectClient(ctx)
	if err == nil {
		err = o.readInstallation(ctx, cfg, ops, plan)
	}
	var found *stateError
	switch {
	case err == nil || errors.As(err, &found) || ctx.Err() != nil:
		return err
	case o.force && plan.belongingsOptions.Installation == "":
		id, findErr := findInstallation(cfg)
		if findErr != nil {
			return findErr
		}
		plan.belongingsOptions.Installation = id
	}
	return o.judgeUnknown(plan, err)
}

// refuseLostState fails if the data of an installation that ran here are missing, and --force is not given.
func (o *uninstallOptions) refuseLostState(cfg *config.Config, plan *uninstallPlan) error {
	id, err := findInstallation(cfg)
	if err != nil || id == "" {
		return err
	}
	plan.belongingsOptions.Installation = id
	return o.judgeUnknown(plan, &serverError{fmt.Errorf("installation %s ran on %s, and its data in %s are missing", id,
		cfg.Dir, cfg.ServerDir())})
}

// judgeUnknown goes on with --force although an error keeps machines from being looked for.
func (o *uninstallOptions) judgeUnknown(plan *uninstallPlan, err error) error {
	if o.force {
		plan.notes = append(plan.notes, "It is unknown whether machines exist: "+err.Error())
		return nil
	}
	return fmt.Errorf("%w. It is therefore unknown whether machines exist that cost money; if you know that there are "+
		"none, use --force", err)
}

func (o *uninstallOptions) readInstallation(ctx context.Context, cfg *config.Config, ops *client.Client,
	plan *uninstallPlan) error {
	s, err := ops.ConnectStore(ctx)
	if err != nil {
		return err
	}
	h, err := ops.ReadHome(ctx)
	if err != nil {
		return err
	}
	if h.Doubt != nil {
		return &stateError{fmt.Errorf("this state may be a copy: %s. Adopt it (skyctl server adopt), or stop the "+
			"server and delete %s", h.Doubt.JoinMessages(), cfg.Dir)}
	}
	plan.belongingsOptions.Installation = h.Installation
	if err := refuseClusters(ctx, s); err != nil {
		return err
	}
	snapshots, err := s.ListSnapshots(ctx, "")
	if err != nil && len(snapshots) == 0 {
		return err
	}
	plan.snapshots = len(snapshots)
	orphans, err := ops.ListOrphans(ctx)
	if err != nil {
		return err
	}
	if n := len(orphans.Orphans); n > 0 {
		return &stateError{fmt.Errorf("there are machines without a cluster (%s), such as %s. Delete them first: "+
			"skyctl delete orphans", render.FormatCount(n, "machine"), orphans.Orphans[0].Name)}
	}
	return newUnaskedCloudsError(orphans.Unasked)
}

// refuseClusters fails if a cluster is recorded, also one without machines: a stopped cluster is brought back from what
// would be removed.
func refuseClusters(ctx context.Context, s *store.Store) error {
	clusters, err := s.ListClusterSummaries(ctx)
	names := store.CorruptClusterNames(err)
	if err != nil && len(names) == 0 {
		return err
	}
	for _, c := range clusters {
		names = append(names, c.Metadata.Name)
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return &stateError{fmt.Errorf("there are clusters (%s): %s. Delete them first: skyctl delete cluster %s --wait",
		render.FormatCount(len(names), "cluster"), joinList(names), names[0])}
}

// findOtherHome names the state directory of another installation of this user, which uses the same host image.
func findOtherHome(cfg *config.Config) (string, error) {
	homes, err := (home.Ledger{Dir: cfg.LedgerDir}).ListHomes()
	if err != nil {
		return "", err
	}
	here := home.FindLocation(cfg.Dir).Dir
	for _, h := range homes {
		if h.Dir == here || h.Dir == "" {
			continue
		}
		if _, err := os.Stat(filepath.Join(h.Dir, filepath.Base(cfg.ServerDir()))); err == nil {
			return "your installation in " + h.Dir, nil
		}
	}
	return "", nil
}

// findInstallation returns the id of the installation whose home is the state directory, as far as this computer has
// recorded it; empty if it has not.
func findInstallation(cfg *config.Config) (string, error) {
	homes, err := (home.Ledger{Dir: cfg.LedgerDir}).ListHomes()
	if err != nil {
		return "", err
	}
	here := home.FindLocation(cfg.Dir).Dir
	for _, h := range homes {
		if h.Dir == here {
			return h.Installation, nil
		}
	}
	return "", nil
}

// keepFiles lists the files that stay, with the reason where it is not plain.
func (p *uninstallPlan) keepFiles(cfg *config.Config) {
	for _, path := range p.content.Kept {
		switch path {
		case cfg.ConfigFile():
			path += ", which has settings of other programs (" + joinList(cfg.ForeignKeys) + ")"
		case cfg.SecretsKeyFile:
			path += ", the secrets key of the team: delete it if the team has another copy"
		}
		p.kept = append(p.kept, path)
	}
	for _, path := range p.content.Removed {
		if target, err := os.Readlink(path); err == nil {
			p.kept = append(p.kept, fmt.Sprintf("%s, to which %s points", target, path))
		}
	}
	for _, path := range []string{cfg.Snapshots.Dir, cfg.SecretsKeyFile} {
		if _, err := os.Stat(path); err == nil && !isBelow(path, cfg.Dir) {
			p.kept = append(p.kept, path)
		}
	}
}

// items lists what is removed, in words.
func (p *uninstallPlan) items() []string {
	var all []string
	if p.service != nil {
		all = append(all, p.service.Describe()+" ("+p.service.File()+")")
	}
	all = append(all, p.content.Removed...)
	if p.ledger != "" {
		all = append(all, p.ledger)
	}
	return slices.Concat(all, p.belongings.Items, p.contextItems)
}

func (p *uninstallPlan) format() string {
	var b strings.Builder
	fmt.Fprintln(&b, "This is removed:")
	for _, item := range p.items() {
		fmt.Fprintln(&b, "  "+printable.Line(item))
	}
	if len(p.kept) > 0 {
		fmt.Fprintln(&b, "This stays:")
		for _, item := range p.kept {
			fmt.Fprintln(&b, "  "+printable.Line(item))
		}
	}
	if p.snapshots > 0 {
		fmt.Fprintf(&b, "The keys of %s of clusters are removed too: nobody can open them afterwards, also not "+
			"those in "+
			"S3 storage. skyctl server backup FILE --with-snapshots keeps them.\n",
			render.FormatCount(p.snapshots, "snapshot"))
	}
	for _, note := range p.notes {
		fmt.Fprintln(&b, printable.Line(note))
	}
	return b.String()
}

func joinList(all []string) string { return strings.Join(all, ", ") }
