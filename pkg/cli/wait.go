package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/store"
)

// defaultWaitLimit is how long wait waits without --timeout: as long as a create may take.
const defaultWaitLimit = time.Hour

func (a *app) newWaitCommand() *cobra.Command {
	return newCommandGroup("wait", "Wait until a cluster, a machine or a snapshot is in a state",
		"Waits until a cluster, a machine or a snapshot is in a state: see skyctl wait cluster --help.",
		"  skyctl wait cluster/dev --for=condition=Ready --timeout=30m\n"+
			"  skyctl wait cluster/dev --for=delete\n"+
			"  skyctl wait machine/sky-dev-2 --for=phase=Ready",
		a.newWaitClusterCommand(), a.newWaitMachineCommand(), a.newWaitSnapshotCommand())
}

// waitOptions is one run of wait.
type waitOptions struct {
	*app
	subject  waitSubject
	goalText string
	goal     waitGoal
	limit    waitLimitValue
	output   *outputFlags
	// deadline is when all objects have to be in the state.
	deadline time.Time
}

// bindFlags adds the flags of all kinds of objects.
func (o *waitOptions) bindFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.goalText, "for", "", "what to wait for: condition=NAME, delete, phase=PHASE or "+
		"jsonpath='{.PATH}'=VALUE (required)")
	o.limit.value = defaultWaitLimit
	cmd.Flags().Var(&o.limit, "timeout", "how long to wait for all of them; 0 looks once")
	o.output = addOutputFlags(cmd)
	registerCompletion(cmd, "for", o.completeGoals)
}

// begin reads --for and starts the clock.
func (o *waitOptions) begin() (err error) {
	if o.goalText == "" {
		return usageErrorf("missing --for: it %s", wantWaitGoal)
	}
	o.goal, err = parseWaitGoal(o.subject, o.goalText)
	o.deadline = o.env.Now().Add(o.limit.value)
	return err
}

// waitLimitValue is --timeout of wait: a duration, of which 0 looks once.
type waitLimitValue struct{ value time.Duration }

func (l *waitLimitValue) String() string { return l.value.String() }
func (l *waitLimitValue) Type() string   { return "duration" }

func (l *waitLimitValue) Set(text string) error {
	parsed, err := time.ParseDuration(text)
	if text != "0" && (err != nil || parsed < 0) {
		return errors.New("must be a duration, such as 90s, 30m or 2h; 0 looks once")
	}
	l.value = parsed
	return nil
}

const waitClusterHelp = `Waits until clusters are in a state. --for is one of

  condition=NAME[=STATUS]     Ready, Stopped, or a condition of skyctl describe cluster; STATUS is True if
                              it is not given
  phase=PHASE[,PHASE]         READY, STOPPED, ERROR and so on
  jsonpath='{.PATH}'[=VALUE]  a field as in -o json has this value, or any
  delete                      the cluster is gone, also if it was never there

The command shows the progress of a running operation, as skyctl create cluster --wait does. It ends
early where waiting is no use: the cluster goes to ERROR, or is being deleted.

It exits with 4 if a cluster does not exist, 6 if --timeout passes, 1 if the operation failed, and 3
if the cluster is being deleted; see skyctl help exit-codes. Ctrl-C stops only the display.`

func (a *app) newWaitClusterCommand() *cobra.Command {
	o := &waitOptions{app: a, subject: waitClusters}
	cmd := &cobra.Command{
		Use:     "cluster (NAME... | -l SELECTOR | --all) --for STATE",
		Aliases: listAliases("cluster"),
		Short:   "Wait until clusters are in a state",
		Long:    waitClusterHelp,
		Example: `  skyctl wait cluster/dev --for=condition=Ready --timeout=30m
  skyctl wait cluster dev --for=delete
  skyctl wait clusters -l team=vision --for=phase=STOPPED
  skyctl wait clusters --all --for=condition=InSync
  skyctl wait cluster/dev --for=jsonpath='{.status.observed_generation}'=3`,
		ValidArgsFunction: a.completeMoreClusterNames,
	}
	o.bindFlags(cmd)
	selector := a.addSelectionFlags(cmd, "clusters")
	cmd.Args = selector.requireNames
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		if err := o.begin(); err != nil {
			return err
		}
		if selector.isSet() {
			return o.waitForSelected(cmd.Context(), selector)
		}
		return a.runForEach(cmd.Context(), names, o.waitForCluster)
	}
	return cmd
}

// waitForSelected waits for all clusters that match now. That none does is met for a delete only.
func (o *waitOptions) waitForSelected(ctx context.Context, selector *selectorValue) error {
	names, err := o.resolveNames(ctx, selector, nil)
	if err == nil && len(names) == 0 && !o.goal.isDelete {
		return &reportedError{&codedError{errors.New("there is no such cluster"), ExitNotFound}}
	}
	if err != nil {
		return err
	}
	return o.runForEach(ctx, names, o.waitForCluster)
}

// waitForCluster waits for one cluster and prints that the condition is met.
func (o *waitOptions) waitForCluster(ctx context.Context, name string) error {
	ops, c, err := o.readForWait(ctx, name)
	if c == nil {
		return err
	}
	judge := func(c *api.Cluster) (bool, error) {
		return o.goal.isMet(c, string(c.Status.Phase), c.Status.Conditions)
	}
	gone := error(&client.ClusterDeletedError{Name: name})
	if o.goal.isDelete {
		gone = nil
	}
	last, err := o.followState(ctx, ops, c, "cluster "+name, gone, judge)
	if err != nil {
		return err
	}
	return o.reportMet("Cluster", name, last)
}

// readForWait reads a cluster. It returns none, and has printed that the condition is met, if it is gone and that is
// the goal.
func (o *waitOptions) readForWait(ctx context.Context, name string) (*client.Client, *api.Cluster, error) {
	ops, err := o.connectClient(ctx)
	if err != nil {
		return nil, nil, err
	}
	s, err := ops.ConnectStore(ctx)
	if err != nil {
		return nil, nil, err
	}
	c, err := s.ReadCluster(ctx, name)
	missing := new(store.NotFoundError)
	if errors.As(err, &missing) && missing.What == "" && o.goal.isDelete && o.subject.kind == waitClusters.kind {
		return nil, nil, o.reportMet("Cluster", name, nil)
	}
	if err != nil {
		return nil, nil, err
	}
	return ops, c, nil
}

// followState shows the progress of a cluster until judge says that the goal is met.
func (o *waitOptions) followState(ctx context.Context, ops *client.Client, c *api.Cluster, what string, gone error,
	judge func(*api.Cluster) (bool, error)) (*api.Cluster, error) {
	if met, err := judge(c); met || err != nil {
		return c, err
	}
	left := o.deadline.Sub(o.env.Now())
	if left <= 0 {
		return nil, newWaitLimitError(what, o.goal, o.limit.value)
	}
	wasFailed := c.Status.Phase == api.PhaseError
	goal := client.StateGoal{Name: o.goal.describe(), Gone: gone, Judge: func(c *api.Cluster) (bool, error) {
		met, err := judge(c)
		switch {
		case met || err != nil:
			return true, err
		case c.Status.Phase == api.PhaseDeleting && !o.goal.isDelete:
			return true, &client.ConflictError{Name: c.Metadata.Name, Phase: api.PhaseDeleting}
		case c.Status.Phase == api.PhaseError && !wasFailed:
			return true, &client.OperationFailedError{Cluster: c.Metadata.Name, Operation: "waiting for",
				Failure: c.Status.Failure, Reason: "the cluster went to ERROR"}
		}
		return false, nil
	}}
	p := o.startProgress("Waiting for "+what, c)
	o.slow.showOn(p.ShowNotice)
	defer o.slow.showOn(nil)
	last, err := ops.AwaitState(ctx, c, goal, left, showCreateProgress(ctx, ops, p))
	if late := new(client.WaitTimeoutError); errors.As(err, &late) {
		err = newWaitLimitError(what, o.goal, o.limit.value)
	}
	if err != nil {
		return last, o.reportFailedWait(p, c.Metadata.Name, err)
	}
	p.ReportSuccess()
	return last, nil
}

// newWaitLimitError says that --timeout has passed.
func newWaitLimitError(what string, goal waitGoal, limit time.Duration) error {
	return &codedError{fmt.Errorf("timed out waiting for --for=%s on %s after %v", goal.text, what, limit), ExitTimeout}
}

// reportMet prints that a condition is met, as kubectl does, or the object with -o.
func (o *waitOptions) reportMet(kind, name string, object any) error {
	if o.output.isStructured() {
		if object == nil { // it is gone
			return nil
		}
		return o.output.writeKind(o.env.Out, kind, object)
	}
	_, err := fmt.Fprintf(o.env.Out, "%s/%s condition met\n", strings.ToLower(kind), name)
	return err
}
