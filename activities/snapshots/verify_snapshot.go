package snapshots

import (
	"context"
	"errors"
	"time"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/store"
)

// Verifier verifies kept snapshots: it restores each on a host apart, and counts what it has.
type Verifier struct {
	Store *store.Store
	Files *activities.SnapshotFiles
	// Clouds has one that is a cloud.Isolator, if there is any.
	Clouds    activities.Clouds
	Deadlines activities.Deadlines
	Now       func() time.Time
	// RKE2 is the release for snapshots whose cluster is gone.
	RKE2 rke2.Source

	// inspect looks at a restored server, in tests.
	inspect func(context.Context, *remote.Host) error
}

// CheckRef names a snapshot that is to be verified.
type CheckRef struct {
	Cluster api.Ref `json:"cluster"`
	Name    string  `json:"name"`
}

// maxChecks bounds the snapshots that one call of ListSnapshotChecks returns.
const maxChecks = 20

// ListSnapshotChecks returns snapshots whose verification is requested, those that wait longest first.
func (v *Verifier) ListSnapshotChecks(ctx context.Context) ([]CheckRef, error) {
	all, err := v.Store.ListSnapshots(ctx, "")
	if corrupt := new(store.CorruptError); err != nil && !errors.As(err, &corrupt) {
		return nil, activities.StepError(ctx, "list the snapshots to verify", "", err)
	}
	due := dueChecks(all)
	refs := make([]CheckRef, len(due))
	for i, s := range due {
		refs[i] = CheckRef{Cluster: s.Ref(), Name: s.Name}
	}
	return refs, nil
}

// VerifySnapshot verifies a snapshot and records the result. An error means that there is none.
func (v *Verifier) VerifySnapshot(ctx context.Context, ref CheckRef) error {
	const step = "verify the snapshot"
	s, err := v.beginCheck(ctx, ref)
	if err != nil || !s.Check.IsDue() {
		return activities.StepError(ctx, step, "", err)
	}
	keys, err := v.proveSnapshot(ctx, s)
	if err != nil && !isDamage(err) {
		return activities.StepError(ctx, step, "", err)
	}
	result, message := api.SnapshotProven, ""
	if err != nil {
		result, message = api.SnapshotDamaged, err.Error()
	}
	return activities.StepError(ctx, step, "", v.endCheck(ctx, ref, result, message, keys))
}

// FailedCheck is a verification that ended without a result, and why.
type FailedCheck struct {
	Ref     CheckRef    `json:"ref"`
	Failure api.Failure `json:"failure"`
}

// FailSnapshotCheck records that a snapshot could not be verified, and why.
func (v *Verifier) FailSnapshotCheck(ctx context.Context, in FailedCheck) error {
	err := v.endCheck(ctx, in.Ref, api.SnapshotUnknown, in.Failure.Message, 0)
	return activities.StepError(ctx, "record the verification", "", err)
}

// beginCheck records that a verification starts. A snapshot that is gone is not due.
func (v *Verifier) beginCheck(ctx context.Context, ref CheckRef) (api.Snapshot, error) {
	s, err := v.Store.UpdateSnapshot(ctx, ref.Cluster, ref.Name, func(s *api.Snapshot) error {
		if s.Check.IsDue() {
			s.Check.StartedAt = v.Now()
		}
		return nil
	})
	if missing := new(store.SnapshotMissingError); errors.As(err, &missing) {
		return api.Snapshot{}, nil
	}
	return s, err
}

// endCheck records a result on the snapshot, and as an event of its cluster.
func (v *Verifier) endCheck(ctx context.Context, ref CheckRef, result api.SnapshotResult, message string,
	keys int64) error {
	s, err := v.Store.UpdateSnapshot(ctx, ref.Cluster, ref.Name, func(s *api.Snapshot) error {
		if s.Check == nil {
			s.Check = &api.SnapshotCheck{}
		}
		c := s.Check
		c.At, c.Result, c.Keys = v.Now(), result, keys
		if c.AskedAt.After(c.At) { // the clock of who asked may be ahead
			c.AskedAt = c.At
		}
		if c.StartedAt.IsZero() {
			c.StartedAt = c.At
		}
		c.Message = redact.Text(describeCheck(*s, message))
		return nil
	})
	if missing := new(store.SnapshotMissingError); errors.As(err, &missing) {
		return nil // it was deleted meanwhile
	}
	if err != nil {
		return err
	}
	activities.RecordEvent(ctx, v.Store, newCheckEvent(s))
	return nil
}

// isDamage reports whether an error is about the snapshot itself, and not about the attempt.
func isDamage(err error) bool {
	var (
		damaged *activities.SnapshotDamagedError
		missing *activities.SnapshotFileMissingError
		content *contentError
		refused *rke2.Error
	)
	return errors.As(err, &damaged) || errors.As(err, &missing) || errors.As(err, &content) ||
		errors.As(err, &refused) && refused.Kind == rke2.SnapshotRefused
}

// findIsolator returns the cloud that can run a host apart.
func (v *Verifier) findIsolator() (string, cloud.Isolator, error) {
	for name, c := range v.Clouds.Named {
		if isolator, ok := c.(cloud.Isolator); ok {
			return name, isolator, nil
		}
	}
	return "", nil, &cloud.IsolationError{Cause: errors.New("this skyd has no cloud docker")}
}

// findRelease returns the release that the snapshot's cluster installs. If the cluster is gone, it is the one of the
// snapshot's version, from the source of its spec or of the settings.
func (v *Verifier) findRelease(ctx context.Context, s api.Snapshot) (api.Artifacts, error) {
	c, err := v.Store.ReadClusterObject(ctx, s.Ref())
	if err == nil && c.Status.Artifacts != nil {
		return *c.Status.Artifacts, nil
	}
	if missing := new(store.NotFoundError); err != nil && !errors.As(err, &missing) {
		return api.Artifacts{}, err
	}
	spec := api.GroupSpec{}
	if s.Spec != nil {
		spec.RKE2 = s.Spec.RKE2.RKE2Release
	}
	spec.KubernetesVersion = s.Versions.RKE2
	release := v.RKE2.ForSpec(spec)
	return rke2.ResolveArtifacts(ctx, release.Version, release.Source, release.SHA256)
}
