package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client/start"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/store"
)

// CreateOptions are the options of a create.
type CreateOptions struct {
	// KeepOnFailure leaves machines in place when the create fails.
	KeepOnFailure bool
	// Timeout bounds the whole operation; 0 is operation.DefaultProvisionTimeout.
	Timeout time.Duration
	// Planned: the placements are known to exist, so no cloud is asked.
	Planned bool
	// Accept can refuse the worker that planned the cluster, before anything is written; nil accepts all.
	Accept func(*operation.WorkerInfo) error
	// Warn is called with each thing that may do harm to a new cluster, before anything is written; nil ignores them.
	Warn func(api.Finding)
}

// CreateResult is a cluster whose provisioning has started.
type CreateResult struct {
	Cluster *api.Cluster
	// Resumed is true if the cluster existed and its provisioning was resumed.
	Resumed bool
}

// CreateCluster writes a cluster that has its defaults and is valid, and starts its provisioning. If the cluster exists
// with the same spec and is in ERROR or has no running operation, its provisioning is resumed; otherwise the error is a
// ConflictError. If a cloud rejects fields of the spec, the error joins *api.FieldErrors and nothing is written.
func (c *Client) CreateCluster(ctx context.Context, want *api.Cluster, o CreateOptions) (CreateResult, error) {
	s, t, err := c.connectServers(ctx)
	if err != nil {
		return CreateResult{}, err
	}
	if err := refuseHomeInDoubt(ctx, s); err != nil {
		return CreateResult{}, err
	}
	existing, err := s.ReadCluster(ctx, want.Metadata.Name)
	var missing *store.NotFoundError
	switch {
	case err == nil:
		return c.resumeCreate(ctx, existing, want, o)
	case !errors.As(err, &missing):
		return CreateResult{}, err
	}
	servers := want.Spec.ControlPlaneGroup()
	if err := errors.Join(api.ValidateName(want.Metadata.Name), servers.CheckServerSize()); err != nil {
		return CreateResult{}, err
	}
	if err := c.CheckSecretReferences(ctx, want.Spec); err != nil {
		return CreateResult{}, err
	}
	if !o.Planned {
		plan, err := c.PlanCluster(ctx, want.Spec, o.Accept)
		if err == nil {
			err = servers.CheckServerPlacements(plan.Placements)
		}
		if err != nil {
			return CreateResult{}, err
		}
		if o.Warn != nil {
			for _, w := range plan.Warnings {
				o.Warn(w)
			}
		}
	}
	fresh := c.newStoredCluster(want)
	fresh.Status.KeepOnFailure = o.KeepOnFailure
	var stored *api.Cluster
	err = c.retryStore(ctx, func() (err error) { stored, err = s.CreateCluster(ctx, fresh); return err })
	var exists *store.ExistsError
	switch {
	case errors.As(err, &exists): // another create was faster
		return c.resumeCreate(ctx, exists.Existing, want, o)
	case isEtcdSilent(err):
		return CreateResult{}, fmt.Errorf("it is unknown whether cluster %s is recorded; run the same create again: %w",
			want.Metadata.Name, err)
	case err != nil:
		return CreateResult{}, err
	}
	return c.startProvision(ctx, t, stored, o, false)
}

// EstimateCreate estimates how long the create of a cluster takes, from earlier ones on its cloud. It is empty while no
// cloud is chosen, and if nothing is known.
func (c *Client) EstimateCreate(ctx context.Context, cl *api.Cluster) (api.CreateEstimate, error) {
	cloud := cl.CloudName()
	if cloud == "" {
		return api.CreateEstimate{}, nil
	}
	s, err := c.ConnectStore(ctx)
	if err != nil {
		return api.CreateEstimate{}, err
	}
	earlier, err := s.ListCreateTimes(ctx, cloud)
	return api.EstimateCreate(earlier, cl.Spec.MachineCount()), err
}

// newStoredCluster returns the cluster that is stored for a wanted one.
func (c *Client) newStoredCluster(want *api.Cluster) *api.Cluster {
	fresh := api.NewCluster(want.Metadata.Name, uuid.NewString(), want.Spec.CreateRequest(), want.Metadata.Labels,
		c.now())
	fresh.Spec = want.Spec.Clone()
	fresh.Spec.SetDefaults()
	fresh.Status.NextIndex = fresh.Spec.MachineCount()
	fresh.Metadata.LastApplied, fresh.Metadata.CreatedByApply = want.Metadata.LastApplied, want.Metadata.CreatedByApply
	return fresh
}

// differencesFrom says in which fields a wanted cluster differs from an existing one. A create from flags says nothing
// of the pools that it does not know.
func differencesFrom(existing, want *api.Cluster) []string {
	if want.Metadata.LastApplied == "" {
		return api.DiffSpec(existing.WithReleases(want.Spec.CreateRequest()), want.Spec.CreateRequest())
	}
	var differs []string
	for _, d := range api.CompareClusters(existing, want) {
		differs = append(differs, d.String())
	}
	return differs
}

// resumeCreate resumes the provisioning of an existing cluster.
func (c *Client) resumeCreate(ctx context.Context, existing, want *api.Cluster, o CreateOptions) (CreateResult, error) {
	s, t, err := c.connectServers(ctx)
	if err != nil {
		return CreateResult{}, err
	}
	conflict := &ConflictError{Name: existing.Metadata.Name, Phase: existing.Status.Phase,
		Differs: differencesFrom(existing, want)}
	if len(conflict.Differs) > 0 || !canResumeCreate(existing) {
		return CreateResult{}, conflict
	}
	if conflict.Running, err = c.findRunningWorkflow(ctx, t, existing); err != nil {
		return CreateResult{}, err
	}
	if conflict.Running != "" {
		return CreateResult{}, conflict
	}
	var updated *api.Cluster
	change := func(cl *api.Cluster) error {
		if !canResumeCreate(cl) {
			return &ConflictError{Name: cl.Metadata.Name, Phase: cl.Status.Phase}
		}
		setResumedLabels(cl, want)
		cl.Spec.CopySettings(existing.WithReleases(want.Spec.CreateRequest()))
		if want.Metadata.LastApplied != "" {
			cl.Metadata.LastApplied = want.Metadata.LastApplied
		}
		cl.Status.KeepOnFailure = o.KeepOnFailure
		cl.Status.Failure = nil
		cl.Status.SetPhase(api.PhaseInit, "CreatedAgain", c.now().UTC())
		return nil
	}
	err = c.retryStore(ctx, func() (err error) {
		updated, err = s.UpdateCluster(ctx, existing.Ref(), change)
		return err
	})
	if err != nil {
		return CreateResult{}, err
	}
	return c.startProvision(ctx, t, updated, o, true)
}

// canResumeCreate reports whether a create can go on with a cluster.
func canResumeCreate(c *api.Cluster) bool {
	switch c.Status.Phase {
	case api.PhaseReady, api.PhaseDeleting, api.PhaseStopped:
		return false
	}
	return c.Status.Restore == nil
}

// setResumedLabels gives a cluster the labels of the create that resumes it. A create without labels keeps those that
// the cluster has got since.
func setResumedLabels(cl, want *api.Cluster) {
	asked := want.Metadata.Labels
	if want.Metadata.LastApplied == "" && len(asked) == 0 || maps.Equal(cl.Metadata.Labels, asked) {
		return
	}
	cl.Metadata.Labels = asked
	cl.Metadata.Generation++
}

// findRunningWorkflow returns the type of the workflow that is running for a cluster; empty if none is. If the cluster
// is in ERROR, its operation is about to close, and this function waits for it.
func (c *Client) findRunningWorkflow(ctx context.Context, t client.Client, cl *api.Cluster) (string, error) {
	wait := newBackOff(50*time.Millisecond, time.Second)
	deadline := c.now().Add(startPatience)
	for {
		r, err := c.readLatestRun(ctx, t, cl.Metadata.Name)
		if err != nil || !r.open {
			return "", err
		}
		if cl.Status.Phase != api.PhaseError || c.now().After(deadline) {
			return r.workflow, nil
		}
		if err := wait.waitNext(ctx); err != nil {
			return "", err
		}
	}
}

// startProvision starts the workflow. The delete of an earlier cluster with this name may take a moment to close. A
// provision that is already running was started by a sweep, or by another create. If Temporal does not answer, the
// error is a *DeferredError, and the result is complete.
func (c *Client) startProvision(ctx context.Context, t client.Client, cl *api.Cluster, o CreateOptions,
	resumed bool) (CreateResult, error) {
	done := CreateResult{Cluster: cl, Resumed: resumed}
	input := operation.ProvisionInput{Cluster: cl.Ref(), Timeout: o.Timeout}
	wait := newBackOff(100*time.Millisecond, 2*time.Second)
	deadline := c.now().Add(startPatience)
	for {
		err := c.startOperation(ctx, t, cl.Metadata.Name, operation.WorkflowProvision, provisionSummary(cl), input)
		if err == nil {
			return done, nil
		}
		if !start.IsAlreadyRunning(err) {
			return c.newDeferredCreate(done, c.toTemporalError(ctx, err))
		}
		run, err := c.readLatestRun(ctx, t, cl.Metadata.Name)
		if err != nil {
			return c.newDeferredCreate(done, err)
		}
		if run.open && run.workflow == operation.WorkflowProvision {
			return done, nil
		}
		if c.now().After(deadline) {
			return done, newDeferredError(cl.Metadata.Name, "recorded", "provisioning",
				fmt.Errorf("%s of an earlier cluster is still running as %s", run.workflow,
					operation.WorkflowID(cl.Metadata.Name)))
		}
		if err := wait.waitNext(ctx); err != nil {
			return CreateResult{}, err
		}
	}
}

// newDeferredCreate is the result of a create whose provisioning could not be started. A refusal is final.
func (c *Client) newDeferredCreate(recorded CreateResult, err error) (CreateResult, error) {
	name := recorded.Cluster.Metadata.Name
	switch {
	case isServerSilent(err):
		return recorded, newDeferredError(name, "recorded", "provisioning", err)
	case errors.Is(err, context.Canceled):
		return CreateResult{}, err
	}
	return CreateResult{}, fmt.Errorf("cluster %s is recorded, but its provisioning did not start; "+
		"run the same create again: %w", name, err)
}

// startPatience is how long a create waits for an earlier operation with the same name to close.
const startPatience = 30 * time.Second

func provisionSummary(c *api.Cluster) string {
	where := c.Spec.Cloud
	if where == "" {
		where = "the cheapest cloud"
	}
	return fmt.Sprintf("Provision %s: %s on %s", c.Metadata.Name,
		api.FormatMachines(c.Spec.MachineCount()), where)
}
