package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/printable"
)

func (a *app) newCreateCommand() *cobra.Command {
	return newCommandGroup("create", "Create a cluster, a pool or a snapshot of one, or a secret",
		"Creates a cluster, a pool of one, a snapshot of its state, or a secret that clusters refer to: see skyctl\n"+
			"create cluster --help and those of the others.",
		"  skyctl create cluster dev --provision --cloud docker --cpus 2+ --num_nodes 3\n"+
			"  skyctl create pool big --cluster dev --cpus 8+ --replicas 2\n"+
			"  skyctl create snapshot --cluster dev\n"+
			"  skyctl create secret registry-login --from-literal username=ci --from-stdin password",
		a.newCreateClusterCommand(), a.newCreatePoolCommand(), a.newCreateSnapshotCommand(),
		a.newCreateSecretCommand())
}

// createOptions are the flags of create cluster.
type createOptions struct {
	flags  *pflag.FlagSet // including those of the spec
	labels listValue
	// request is what the flags and settings ask for.
	request api.GroupSpec
	// asked are the flags, variables and settings of this create that fill fields which older workers do not know.
	asked []askedField

	keep, wait, dryRun, merge bool
	timeout                   durationValue
	output                    *outputFlags
}

func (a *app) newCreateClusterCommand() *cobra.Command {
	o := &createOptions{}
	cmd := &cobra.Command{
		Use:     "cluster NAME --provision",
		Aliases: listAliases("cluster"),
		Short:   "Launch machines and create a Kubernetes cluster on them",
		Long: `Launches machines and creates a Kubernetes cluster (RKE2) on them: one head and, with --num_nodes
above 1, workers of the same size. The head runs pods too. It needs at least 2 CPUs and 4 GiB;
workers in a pool of their own can have less.

All machines of a cluster share one placement (cloud, region, zone, instance type). Without
--cloud, skyctl chooses the cheapest placement among the enabled clouds; skyctl check lists them
and says what the others need. --dry-run lists the placements with their prices; --dry-run -o yaml
prints the cluster as a file for skyctl apply instead, and asks no server.

The command returns once the operation is running, long before the cluster is READY. The operation
continues even if you close this terminal. --wait shows its progress, machine by machine, until the
cluster is READY and its add-ons serve: that is waited for some minutes at most. The same create again
with --wait shows the progress of a create that runs.

Invalid requests are rejected before anything is created. If a create fails, it terminates the
machines that it launched, unless you use --keep-on-failure; run the same create again to resume.
Until the cluster is READY, each billed machine has a timer that powers it off after the deadline,
even if skyd or this computer is gone.`,
		Example: `  # three nodes on the Docker of this computer, at least two CPUs each
  skyctl create cluster dev --provision --cloud docker --cpus 2+ --num_nodes 3

  # list placements and prices for four machines with eight A100s each
  skyctl create cluster train --provision --accelerators A100:8 --num_nodes 4 --dry-run

  # turn flags into a file
  skyctl create cluster dev --provision --cloud docker --cpus 2+ --num_nodes 3 --dry-run -o yaml > dev.yaml

  # spot machines in one region, at most $0.50 per hour each, API open to one network only
  skyctl create cluster cheap --provision --cloud aws --region us-east-1 --cpus 4+ --memory 16+ \
    --use_spot --max_hourly_cost 0.50 --api_cidr 203.0.113.0/24

  # wait until the cluster is READY
  skyctl create cluster web --provision --cloud docker --cpus 2 --memory 4+ \
    --ports 80 --ports 30000-30100 --labels team=web --wait`,
		Args: requireOneArg, // an invalid name is reported together with other errors
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runCreate(cmd.Context(), args[0], o)
		},
	}
	o.bindFlags(cmd)
	a.registerFieldCompletions(cmd)
	return cmd
}

func (o *createOptions) bindFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	o.flags = f
	bindSpecFlags(f)
	f.Var(&o.labels, "labels", "label as KEY=VALUE; can be repeated")
	f.BoolVar(&o.keep, "keep-on-failure", false, "keep the machines if the create fails (they keep costing money; "+
		"billed machines power themselves off in the end)")
	f.BoolVar(&o.wait, "wait", false, "show the progress until the cluster is READY; Ctrl-C stops only the display")
	f.BoolVar(&o.merge, "merge", false, "merge the kubeconfig into yours as the context skyctl-NAME")
	f.Var(&o.timeout, "timeout", "time limit of the whole create (default 1h)")
	bindDryRun(cmd, &o.dryRun, "only list the possible placements and their prices, or print the "+
		"cluster as a file with -o yaml or json")
	o.output = addOutputFlags(cmd)
	describeOutputFlag(cmd, "print only the created cluster, or with --dry-run its file, as json, yaml, name or a "+
		"template: see skyctl help output")
	addFieldSections(cmd)
}

// buildCluster returns the requested cluster, with everything checked that needs no cloud. Its errors are joined
// *api.FieldErrors.
func (o *createOptions) buildCluster(name string, now time.Time) (*api.Cluster, error) {
	var specErr error
	o.request, specErr = parseSpecFlags(o.flags)
	o.request.SetDefaults()
	labels, labelsErr := api.ParseLabels(o.labels.values)
	c := api.NewCluster(name, "", o.request, labels, now)
	invalid := c.Validate()
	err := errors.Join(dropRepeatedErrors(specErr, invalid), invalid, labelsErr)
	if o.dryRun && err == nil {
		err = errors.Join(api.ValidateName(name), o.request.CheckServerSize()) // a create checks if it does not exist
	}
	return c, err
}

// dropRepeatedErrors leaves out the *api.FieldErrors about a value that later errors are about too, and say more of: a
// value may be refused alone, and also beside others.
func dropRepeatedErrors(err, later error) error {
	said := map[[2]string]bool{}
	for _, e := range api.FieldErrorsOf(later) {
		said[[2]string{e.Field, e.Value}] = true
	}
	var kept []error
	for _, e := range api.FieldErrorsOf(err) {
		if !said[[2]string{e.Field, e.Value}] {
			kept = append(kept, &e)
		}
	}
	return errors.Join(kept...)
}

func (a *app) runCreate(ctx context.Context, name string, o *createOptions) error {
	c, err := o.buildCluster(name, a.env.Now())
	if err != nil {
		return err
	}
	if err := o.checkFlagCombination(); err != nil {
		return err
	}
	if err := a.applySettingsToSpec(o, c); err != nil {
		return err
	}
	if o.dryRun && o.output.isStructured() {
		for _, w := range c.Spec.FindWarnings() { // no cloud is asked for its own
			terminal.WriteNote(a.notes(), formatWarning(w))
		}
		return writeClusterFiles(a.env.Out, o.output, []api.Cluster{*c}, false)
	}
	if !o.dryRun {
		cfg, err := a.loadSettingsWithNotes()
		if err == nil {
			err = requireDiskToCreate(cfg)
		}
		if err != nil {
			return err
		}
	}
	ops, err := a.connectClient(ctx)
	if err != nil {
		return err
	}
	if err := a.requireCapableServer(o); err != nil {
		return err
	}
	if o.dryRun {
		return a.runDryRun(ctx, ops, c, o)
	}
	created, err := a.startCreate(ctx, ops, c, o)
	if err != nil {
		return err
	}
	if o.merge || a.cfg.Kubeconfig.Merge {
		if err := a.wantMerge(ctx, created.Ref(), o.wait); err != nil {
			return err
		}
	}
	if o.wait {
		if err := a.awaitClusterReady(ctx, ops, created, o.timeout.value); err != nil {
			return err
		}
	} else {
		a.printAccepted(ctx, ops, created)
	}
	return a.writeChanged(ctx, ops, o.output, changedClusters{clusters: []*api.Cluster{created}, waited: o.wait})
}

// applySettingsToSpec copies this command's settings of one cluster into the spec.
func (a *app) applySettingsToSpec(o *createOptions, c *api.Cluster) error {
	cfg, err := a.loadSettingsWithNotes()
	if err != nil {
		return err
	}
	cfg.ApplyToSpec(&o.request)
	o.request.SetDefaults()
	c.Spec = api.NewClusterSpec(o.request)
	c.Spec.RKE2.AddMissing(cfg.RKE2.Lists)
	c.Spec.SetDefaults()
	for _, f := range api.Fields {
		switch from := cfg.CommandSetting(f.Setting); {
		case f.Text(o.request) == "":
		case f.Flag != api.NoFlag && o.flags.Changed(f.Name):
			o.asked = append(o.asked, askedField{level: f.Level, from: "--" + f.Name})
		case from != "":
			o.asked = append(o.asked, askedField{level: f.Level, from: from})
		}
	}
	a.creates = &o.request
	return c.Validate()
}

// requireCapableServer refuses a skyd dev that would ignore a part of the request.
func (a *app) requireCapableServer(o *createOptions) error {
	if a.worker == nil {
		return nil
	}
	return a.requireCapableWorker(o.request, o.asked)
}

// newWorkerCheck judges the worker of a team once it has planned the cluster; a skyd dev was judged before.
func (a *app) newWorkerCheck(s *terminal.Spinner, o *createOptions) func(*operation.WorkerInfo) error {
	if !a.cfg.IsExternal() {
		return nil
	}
	return func(w *operation.WorkerInfo) error {
		s.KeepLine()
		if err := a.checkWorkerCompatibility(a.cfg, w); err != nil {
			return err
		}
		return a.requireCapableWorker(o.request, o.asked)
	}
}

// checkFlagCombination refuses flags that would be ignored because of others.
func (o *createOptions) checkFlagCombination() error {
	if !o.dryRun {
		return nil
	}
	for _, flag := range []string{"wait", "keep-on-failure", "timeout", "merge"} {
		if o.flags.Changed(flag) {
			return usageErrorf("--%s cannot be used with --dry-run", flag)
		}
	}
	return nil
}

func (a *app) runDryRun(ctx context.Context, ops *client.Client, c *api.Cluster, o *createOptions) error {
	return a.runWithSpinner("Planning cluster", false, func(s *terminal.Spinner) error {
		plan, err := ops.PlanCluster(ctx, c.Spec, a.newWorkerCheck(s, o))
		if err == nil {
			err = c.Spec.ControlPlaneGroup().CheckServerPlacements(plan.Placements)
		}
		if err != nil {
			return err
		}
		s.KeepLine()
		err = terminal.WriteTable(a.env.Out, render.NewPlacementTable(plan.Placements, o.request.NumNodes))
		for _, w := range plan.Warnings {
			s.PrintNote(formatWarning(w))
		}
		s.PrintNote("RKE2's own pods request " + api.DescribeOverhead(o.request.CNI, o.request.NumNodes-1) + ".")
		return err
	})
}

// formatWarning is a line about what may do harm to a new cluster.
func formatWarning(w api.Finding) string { return "Warning: " + printable.Line(w.String()) }
