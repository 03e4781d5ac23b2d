package machines

import (
	"context"
	"slices"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

// Survey compares the machines that an earlier create recorded with the cloud's list, and marks those that are not
// listed as gone. It reports whether the create can continue with the rest.
func (a *Activities) Survey(ctx context.Context, ref api.Ref) (SurveyResult, error) {
	const step = "check the machines of an earlier create"
	c, onCloud, owner, err := a.readClusterAndCloud(ctx, ref)
	if err != nil {
		return SurveyResult{}, activities.StepError(ctx, step, "", err)
	}
	listed, err := a.listClusterMachines(ctx, c, onCloud, owner)
	if err != nil {
		return SurveyResult{}, activities.StepError(ctx, step, "", err)
	}
	var s SurveyResult
	terminating := false
	isListed := func(r api.Machine) bool {
		return slices.ContainsFunc(listed, func(m cloud.Machine) bool {
			if id := activities.RecordedCloudID(r); id != "" && m.ID != "" {
				return m.ID == id
			}
			return m.Name == r.Name && m.Incarnation == r.Incarnation
		})
	}
	for _, m := range c.Status.Machines {
		if m.State == api.MachineGone {
			continue
		}
		if isListed(m) {
			s.Head = s.Head || m.Role == api.RoleHead
			terminating = terminating || m.State == api.MachineTerminating
			continue
		}
		if err := a.recordMachineGone(ctx, ref, m); err != nil {
			return SurveyResult{}, activities.StepError(ctx, step, m.Name, err)
		}
	}
	s.Head = s.Head && !terminating
	return s, nil
}

// SurveyResult is the result of Survey.
type SurveyResult struct {
	// Head: the head exists, and no machine was being terminated.
	Head bool `json:"head,omitempty"`
}
