package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/printable"
)

// errCreateRuns: the same create is running already, and its progress is shown.
var errCreateRuns = errors.New("the same create is running")

// startCreate starts a create, or finds the same one running if its progress is wanted.
func (a *app) startCreate(ctx context.Context, ops *client.Client, c *api.Cluster, o *createOptions) (*api.Cluster,
	error) {
	name := c.Metadata.Name
	var created client.CreateResult
	err := a.runWithSpinner("Creating cluster", false, func(s *terminal.Spinner) error {
		var err error
		created, err = ops.CreateCluster(ctx, c, client.CreateOptions{
			KeepOnFailure: o.keep, Timeout: o.timeout.value, Accept: a.newWorkerCheck(s, o),
			Warn: func(w api.Finding) { s.PrintNote(formatWarning(w)) },
		})
		if running := new(client.ConflictError); o.wait && errors.As(err, &running) && running.IsSameCreate() {
			return errCreateRuns
		}
		var deferred *client.DeferredError
		if err != nil && !errors.As(err, &deferred) {
			return err
		}
		s.KeepLine()
		if deferred != nil {
			s.PrintNote("Note: " + deferred.Error())
			return a.printResult("Recorded cluster %s.\n", name)
		} else if created.Resumed {
			return a.printResult("Resumed cluster %s.\n", name)
		}
		return a.printResult("Created cluster %s.\n", name)
	})
	if errors.Is(err, errCreateRuns) {
		return a.readRunningCreate(ctx, ops, name)
	}
	return created.Cluster, err
}

// printAccepted says that a create was accepted only, how long it takes, and how to watch it.
func (a *app) printAccepted(ctx context.Context, ops *client.Client, c *api.Cluster) {
	if a.hasStructuredOutput() {
		return
	}
	text := fmt.Sprintf("Accepted; cluster %s is not READY yet", c.Metadata.Name)
	if e, err := ops.EstimateCreate(ctx, c); err == nil && e.From > 0 {
		text += ": that takes " + render.FormatEstimate(e)
	}
	fmt.Fprintf(a.notes(), "%s.\nTo watch it: skyctl get cluster %s -w\n", text, c.Metadata.Name)
}

// readRunningCreate reads the cluster of a create that was started before.
func (a *app) readRunningCreate(ctx context.Context, ops *client.Client, name string) (*api.Cluster, error) {
	s, err := ops.ConnectStore(ctx)
	if err != nil {
		return nil, err
	}
	c, err := s.ReadCluster(ctx, name)
	if err == nil {
		err = a.printResult("Cluster %s is being created already.\n", name)
	}
	return c, err
}

// showCreateProgress is showProgress with the estimate of a create that runs, once its cloud is known.
func showCreateProgress(ctx context.Context, ops *client.Client, p *terminal.ProgressDisplay) func(client.Progress) {
	show, estimated := showProgress(p), false
	return func(n client.Progress) {
		if _, creating := render.CreatePercent(n.Cluster); creating && !estimated && n.Cluster.CloudName() != "" {
			estimated = true
			e, _ := ops.EstimateCreate(ctx, n.Cluster) // without it there is only no number
			p.ShowEstimate(e, n.Cluster.Status.FindCreateStart())
		}
		show(n)
	}
}

// extraWait is added to the timeout of the operation, which cleans up after a failure.
const extraWait = 10 * time.Minute

func (a *app) awaitClusterReady(ctx context.Context, ops *client.Client, c *api.Cluster, timeout time.Duration) error {
	if timeout == 0 {
		timeout = operation.DefaultProvisionTimeout
	}
	name := c.Metadata.Name
	ref := c.Ref()
	p := a.startProgress("Provisioning cluster", c)
	a.slow.showOn(p.ShowNotice)
	defer a.slow.showOn(nil)
	ready, err := ops.AwaitReady(ctx, ref, timeout+extraWait, showCreateProgress(ctx, ops, p))
	failed := client.AsOperationFailed(err)
	switch {
	case exitCode(err) == ExitInterrupted && err != nil:
		p.StopDrawing()
		return &interruptedError{hint: fmt.Sprintf(
			"The operation continues. To see it: skyctl get cluster %s -w, or skyctl describe cluster %s", name, name)}
	case err != nil && a.wantsJSONErrors():
		p.StopDrawing()
		return err
	case failed != nil:
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
		if a.wantsJSONErrors() {
			p.StopDrawing()
			return err
		}
		p.ReportFailure(err, damageRemedies(err)...)
		return &reportedError{err}
	}
	p.ReportSuccess()
	machines := len(render.ExistingMachines(ready))
	if err := a.printResult("Cluster %s is READY: %s after %s.\n", name, render.FormatCount(machines, "machine"),
		render.FormatDuration(p.Elapsed())); err != nil {
		return err
	}
	if lacks := render.AwaitedAddOnsLine(ready); lacks != "" {
		fmt.Fprintf(a.env.Err, "Warning: %s\n  skyctl looks again with every sweep: skyctl describe cluster %s\n",
			printable.Line(lacks), name)
	}
	return a.printHowToUse(ctx, ops, ready, path)
}
