package record

import (
	"context"
	"errors"
	"fmt"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/store"
)

// MarkLeavingInput says that a machine is to be removed for good.
type MarkLeavingInput struct {
	Machine activities.MachineRef `json:"machine"`
	Reason  api.LeaveReason       `json:"reason"`
}

// MarkLeaving records that a machine is to be removed for good. Nothing revokes that. A machine that leaves already
// keeps its reason, and one without a record has left. A server is never marked: the error is a Conflict.
func (a *Activities) MarkLeaving(ctx context.Context, in MarkLeavingInput) error {
	m := in.Machine
	_, err := a.Store.UpdateMachine(ctx, m.Cluster, m.Index, m.Incarnation, func(r *api.Machine) error {
		if r.Role == api.RoleHead {
			return &cloud.Error{Kind: cloud.Conflict,
				Message: fmt.Sprintf("machine %s is a server, which stays", r.Name)}
		}
		if r.Leaving == "" {
			r.Leaving = in.Reason
		}
		return nil
	})
	if missing := new(store.NotFoundError); errors.As(err, &missing) && missing.What != "" {
		return nil
	}
	return activities.StepError(ctx, "mark the machine as leaving", m.Name, err)
}
