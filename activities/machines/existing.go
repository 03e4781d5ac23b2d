package machines

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

// listExistingTimeout bounds the cloud's listing before a clean-up: the clean-up of recorded machines must not wait for
// it.
const listExistingTimeout = 20 * time.Second

// Existing returns every machine of the cluster that may exist: recorded machines that were not confirmed gone, and
// listed machines that are certainly the cluster's. If the cloud does not answer, Release finds the rest.
func (a *Activities) Existing(ctx context.Context, ref api.Ref) ([]ExistingMachine, error) {
	const step = "list the machines"
	c, onCloud, owner, err := a.readClusterAndCloud(ctx, ref)
	if err != nil {
		return nil, activities.StepError(ctx, step, "", err)
	}
	queryCtx, cancel := context.WithTimeout(ctx, listExistingTimeout)
	defer cancel()
	listed, err := a.listClusterMachines(queryCtx, c, onCloud, owner)
	if ctx.Err() != nil {
		return nil, activities.StepError(ctx, step, "", ctx.Err())
	}
	if err != nil {
		activity.GetLogger(ctx).Warn("the cloud did not answer; only the recorded machines are terminated",
			"cluster", ref.Name, "error", err)
	}
	known, err := activities.ReadOrphanConflicts(ctx, a.Store)
	if err != nil {
		return nil, activities.StepError(ctx, step, "", err)
	}
	own, conflicting := splitByConflict(c, listed, known)
	return mergeExisting(c, own, conflicting), nil
}

// ExistingMachine is a machine that a cluster may have. Older histories contain only its name.
type ExistingMachine struct {
	Name        string `json:"name"`
	Index       int    `json:"index,omitempty"`
	Incarnation string `json:"incarnation,omitempty"`
	ID          string `json:"id,omitempty"`
	// Unrecorded: etcd has no record of it.
	Unrecorded bool `json:"unrecorded,omitempty"`
}

// UnmarshalJSON also reads results of older workers.
func (e *ExistingMachine) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &e.Name)
	}
	type plain ExistingMachine
	return json.Unmarshal(data, (*plain)(e))
}

// mergeExisting returns the machines to terminate before a cluster is gone, sorted by name.
func mergeExisting(c *api.Cluster, own []cloud.Machine, conflicting []cloud.ConflictingMachine) []ExistingMachine {
	var all []ExistingMachine
	for _, m := range own {
		all = append(all, ExistingMachine{Name: m.Name, Index: m.Index, Incarnation: m.Incarnation, ID: m.ID,
			Unrecorded: true})
	}
	for _, r := range c.Status.Machines {
		listed := false
		for i, e := range all {
			if r.CloudID != "" && e.ID == r.CloudID || e.Incarnation == r.Incarnation && e.Name == r.Name {
				all[i].Name, all[i].Unrecorded, listed = r.Name, false, true
			}
		}
		// Terminate would refuse it with a Conflict.
		changed := func(k cloud.ConflictingMachine) bool { return r.CloudID != "" && k.ID == r.CloudID }
		if !listed && r.State != api.MachineGone && !slices.ContainsFunc(conflicting, changed) {
			all = append(all, ExistingMachine{Name: r.Name, Index: r.Index, Incarnation: r.Incarnation,
				ID: activities.RecordedCloudID(r)})
		}
	}
	slices.SortFunc(all, func(a, b ExistingMachine) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return all
}
