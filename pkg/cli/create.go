package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/operation"
)

func (a *app) newCreateCommand() *cobra.Command {
	return newCommandGroup("create", "Create a cluster, a pool of one, or a secret",
		"Creates a cluster, a pool of one, or a secret that clusters refer to: see skyctl create cluster --help,\n"+
			"skyctl create pool --help and skyctl create secret --help.",
		"  skyctl create cluster dev --provision --cloud docker --cpus 2+ --num_nodes 3\n"+
			"  skyctl create pool big --cluster dev --cpus 8+ --replicas 2\n"+
			"  skyctl create secret registry-login --from-literal username=ci --from-stdin password",
		a.newCreateClusterCommand(), a.newCreatePoolCommand(), a.newCreateSecretCommand())
}

// createOptions are the flags of create cluster.
type createOptions struct {
	flags  *pflag.FlagSet // including those of the spec
	labels listValue
	// request is what the flags and settings ask for.
	request api.GroupSpec
	// asked are the flags, variables and settings of this create that fill fields which older workers do not know.
	asked []askedField

	keep, wait, dryRun bool
	timeout            durationValue
	output             *enumValue
}

func (a *app) newCreateClusterCommand() *cobra.Command {
	o := &createOptions{}
	cmd := &cobra.Command{
		Use:     "cluster NAME --provision",
		Aliases: []string{"clusters"},
		Short:   "Launch machines and create a Kubernetes cluster on them",
		Long: `Launches machines and creates a Kubernetes cluster (RKE2) on them: one head and, with --num_nodes
above 1, workers of the same size. The head runs pods too.

All machines of a cluster share one placement (cloud, region, zone, instance type). Without
--cloud, skyctl chooses the cheapest placement among the enabled clouds; skyctl check lists them
and says what the others need. --dry-run lists the placements with their prices; --dry-run -o yaml
prints the cluster as a file for skyctl apply instead, and asks no server.

The command returns once the operation is running. The operation continues even if you close this
terminal. --wait shows its progress, machine by machine, until the cluster is READY.

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
  skyctl create cluster web --provision --cloud docker --cpus 1 --memory 2+ \
    --ports 80 --ports 30000-30100 --labels team=web --wait`,
		Args:              requireOneArg, // an invalid name is reported together with other errors
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runCreate(cmd.Context(), args[0], o)
		},
	}
	o.bindFlags(cmd)
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
	f.Var(&o.timeout, "timeout", "time limit of the whole create (default 1h)")
	f.BoolVar(&o.dryRun, "dry-run", false, "only list the possible placements and their prices, or print the "+
		"cluster as a file with -o yaml or json")
	o.output = addOutputFlag(cmd, render.AsTable, render.AsWide, render.AsJSON, render.AsYAML)
	registerSpecCompletions(cmd)
	for _, name := range []string{"labels", "timeout"} {
		panicOnError(cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions))
	}
}

// buildCluster returns the requested cluster, with everything checked that needs no cloud. Its errors are joined
// *api.FieldErrors.
func (o *createOptions) buildCluster(name string, now time.Time) (*api.Cluster, error) {
	var specErr error
	o.request, specErr = parseSpecFlags(o.flags)
	o.request.SetDefaults()
	labels, labelsErr := api.ParseLabels(o.labels.values)
	c := api.NewCluster(name, "", o.request, labels, now)
	err := errors.Join(specErr, c.Validate(), labelsErr)
	if o.dryRun && err == nil {
		err = api.ValidateName(name) // a create checks it if the cluster does not exist
	}
	return c, err
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
		return writeClusterFiles(a.env.Out, o.output.form(), []api.Cluster{*c}, false)
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
		return a.runDryRun(ctx, ops, o)
	}
	var created client.CreateResult
	if err := a.runWithSpinner("Creating cluster", false, func(s *terminal.Spinner) error {
		created, err = ops.CreateCluster(ctx, c, client.CreateOptions{
			KeepOnFailure: o.keep, Timeout: o.timeout.value, Accept: a.newWorkerCheck(s, o),
		})
		var deferred *client.DeferredError
		if err != nil && !errors.As(err, &deferred) {
			return err
		}
		s.KeepLine()
		if deferred != nil {
			fmt.Fprintf(a.env.Out, "Recorded cluster %s.\n", name)
			s.PrintNote("Note: " + deferred.Error())
		} else if created.Resumed {
			fmt.Fprintf(a.env.Out, "Resumed cluster %s.\n", name)
		} else {
			fmt.Fprintf(a.env.Out, "Created cluster %s.\n", name)
		}
		return nil
	}); err != nil {
		return err
	}
	if o.wait {
		return a.awaitClusterReady(ctx, ops, created.Cluster, o.timeout.value)
	}
	return nil
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
		if o.flags.Changed("output") && o.output.form() != render.AsTable {
			return usageErrorf("-o %s needs --dry-run", o.output.form())
		}
		return nil
	}
	for _, flag := range []string{"wait", "keep-on-failure", "timeout"} {
		if o.flags.Changed(flag) {
			return usageErrorf("--%s cannot be used with --dry-run", flag)
		}
	}
	return nil
}

func (a *app) runDryRun(ctx context.Context, ops *client.Client, o *createOptions) error {
	return a.runWithSpinner("Planning cluster", false, func(s *terminal.Spinner) error {
		placements, err := ops.PlanPlacementsWith(ctx, o.request, a.newWorkerCheck(s, o))
		if err != nil {
			return err
		}
		s.KeepLine()
		_, err = fmt.Fprint(a.env.Out, render.NewPlacementTable(placements, o.request.NumNodes))
		return err
	})
}

// extraWait is added to the timeout of the operation, which cleans up after a failure.
const extraWait = 10 * time.Minute

func (a *app) awaitClusterReady(ctx context.Context, ops *client.Client, c *api.Cluster, timeout time.Duration) error {
	if timeout == 0 {
		timeout = operation.DefaultProvisionTimeout
	}
	name := c.Metadata.Name
	ref := c.Ref()
	p := terminal.StartProgress(a.env.Err, a.env.Now, "Provisioning cluster", c)
	a.slow.showOn(p.ShowNotice)
	defer a.slow.showOn(nil)
	ready, err := ops.AwaitReady(ctx, ref, timeout+extraWait, showProgress(p))
	var failed *client.OperationFailedError
	switch {
	case exitCode(err) == ExitInterrupted && err != nil:
		p.StopDrawing()
		return &interruptedError{hint: fmt.Sprintf(
			"The operation continues. To see it: skyctl get cluster %s -w, or skyctl describe cluster %s", name, name)}
	case errors.As(err, &failed):
		p.ReportFailure(err, damageRemedies(err)...)
		printFailureLog(a.env.Err, failed)
		fmt.Fprint(a.env.Err, render.IndentLines(formatFailureHints(name, ops.OperationURL(name))))
		return &reportedError{err}
	case err != nil:
		p.ReportFailure(err, damageRemedies(err)...)
		return &reportedError{err}
	}
	path, err := a.ensureLocalKubeconfig(ctx, ops, ref)
	if err != nil {
		p.ReportFailure(err, damageRemedies(err)...)
		return &reportedError{err}
	}
	p.ReportSuccess()
	fmt.Fprintf(a.env.Out, "Cluster %s is READY: %s after %s.\n", name,
		render.FormatCount(len(render.ExistingMachines(ready)), "machine"), render.FormatDuration(p.Elapsed()))
	if a.cfg.IsExternal() && ready.Status.TunnelPort != 0 {
		fmt.Fprintf(a.env.Err, "Its API is reached through SSH. Keep this running: skyctl tunnel %s\n", name)
	}
	fmt.Fprintf(a.env.Err, "Use it with: export KUBECONFIG=%s\n", path)
	return nil
}
