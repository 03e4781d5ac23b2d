package client

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
)

// ApplyResult is what an apply of one document did.
type ApplyResult struct {
	ChangeResult
	// Kind is that of the plan, or ApplySame if somebody else did the same meanwhile.
	Kind ApplyKind
}

// Apply carries out a plan. It writes only if the cluster is still as it was when the plan was made: otherwise the
// error is an *ApplyConflictError, and nothing was written. A create whose operation could not be started has Unstarted
// in its result.
func (c *Client) Apply(ctx context.Context, p ApplyPlan) (ApplyResult, error) {
	switch p.Kind {
	case ApplyCreate, ApplyResume:
		return c.applyCreate(ctx, p)
	case ApplySame:
		return c.applySame(ctx, p)
	}
	changed, err := c.ChangeSpec(ctx, p.Before, func(cl *api.Cluster) error {
		if err := cl.ChangeTo(p.After.Spec, p.After.Metadata.Labels, c.now()); err != nil {
			return err
		}
		return p.recordApplied(cl)
	})
	if conflict := new(store.SpecConflictError); errors.As(err, &conflict) {
		return c.resolveConflict(ctx, p, err)
	}
	return ApplyResult{ChangeResult: changed, Kind: ApplyChange}, err
}

// applySame records what was applied if that differs, and tells an operation that has not reached the spec yet. It
// changes nothing of a cluster that is at rest.
func (c *Client) applySame(ctx context.Context, p ApplyPlan) (ApplyResult, error) {
	same := ApplyResult{ChangeResult: ChangeResult{Cluster: p.Before}, Kind: ApplySame}
	b := p.Before
	unreached := b.Status.Phase == api.PhaseReady && b.Status.ObservedGeneration < b.Metadata.Generation
	if b.RefuseSpecChange() != "" || !unreached && b.Metadata.LastApplied == p.After.Metadata.LastApplied {
		return same, nil
	}
	changed, err := c.ChangeSpec(ctx, b, p.recordApplied)
	if conflict := new(store.SpecConflictError); errors.As(err, &conflict) {
		return c.resolveConflict(ctx, p, err)
	}
	return ApplyResult{ChangeResult: changed, Kind: ApplySame}, err
}

// recordApplied records what was applied. If another file was applied since the plan, which can leave the generation as
// it is, the error is a *store.SpecConflictError: the plan stands on what was applied before it.
func (p *ApplyPlan) recordApplied(cl *api.Cluster) error {
	if cl.Metadata.LastApplied != p.Before.Metadata.LastApplied {
		return &store.SpecConflictError{Cluster: p.Name, Seen: p.Before.Metadata.Generation,
			Current: cl.Metadata.Generation}
	}
	cl.Metadata.LastApplied = p.After.Metadata.LastApplied
	return nil
}

func (c *Client) applyCreate(ctx context.Context, p ApplyPlan) (ApplyResult, error) {
	created, err := c.CreateCluster(ctx, p.After, CreateOptions{Planned: true})
	result := ApplyResult{ChangeResult: ChangeResult{Cluster: created.Cluster, Changed: true}, Kind: p.Kind}
	if created.Resumed {
		result.Kind = ApplyResume
	}
	var deferred *DeferredError
	var exists *ConflictError
	switch {
	case errors.As(err, &deferred):
		result.Unstarted = err
		return result, nil
	case errors.As(err, &exists):
		return c.resolveConflict(ctx, p, err)
	}
	return result, err
}

// resolveConflict finds out what somebody else did to a cluster since it was planned. If that is what the plan wants,
// there is nothing left to do.
func (c *Client) resolveConflict(ctx context.Context, p ApplyPlan, cause error) (ApplyResult, error) {
	s, err := c.ConnectStore(ctx)
	if err != nil {
		return ApplyResult{}, errors.Join(cause, err)
	}
	now, err := s.ReadCluster(ctx, p.Name)
	if err != nil {
		return ApplyResult{}, errors.Join(cause, err)
	}
	if len(api.CompareClusters(now, p.After)) == 0 && now.Status.Phase != api.PhaseDeleting {
		return ApplyResult{ChangeResult: ChangeResult{Cluster: now}, Kind: ApplySame}, nil
	}
	conflict := &ApplyConflictError{Cluster: p.Name, Created: p.Before == nil, Cause: cause}
	if p.Before != nil {
		conflict.Meanwhile = api.CompareClusters(p.Before, now)
	}
	return ApplyResult{}, conflict
}

// ApplyConflictError says what somebody else changed between the plan and its apply. Nothing was written.
type ApplyConflictError struct {
	Cluster string
	// Created: the cluster did not exist when the apply was planned.
	Created bool
	// Meanwhile are the fields that changed; none if they were changed back.
	Meanwhile []api.FieldDifference
	// Cause is a *store.SpecConflictError or a *ConflictError.
	Cause error
}

func (e *ApplyConflictError) Error() string {
	const again = "; nothing was written for it. To see the new difference, use skyctl diff, then run the command again"
	if e.Created {
		return fmt.Sprintf("cluster %s was created meanwhile, with another spec%s", e.Cluster, again)
	}
	var fields []string
	for _, d := range e.Meanwhile {
		fields = append(fields, fmt.Sprintf("%s: %s -> %s", d.Path, orUnset(d.Before), orUnset(d.After)))
	}
	what := ""
	if len(fields) > 0 {
		what = " (" + strings.Join(fields, ", ") + ")"
	}
	return fmt.Sprintf("cluster %s was changed meanwhile%s%s", e.Cluster, what, again)
}

// Unwrap is the conflict.
func (e *ApplyConflictError) Unwrap() error { return e.Cause }

func orUnset(text string) string {
	if text == "" {
		return "unset"
	}
	return text
}
