package operation

import (
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestRequestedOperation(t *testing.T) {
	restore, stop := &api.RestoreRequest{ID: "restore-1"}, &api.StopRequest{}
	there := []api.Machine{{State: api.MachineTerminating}}
	gone := []api.Machine{{State: api.MachineGone}}
	for name, tt := range map[string]struct {
		status api.ClusterStatus
		want   string
	}{
		"nothing is requested": {api.ClusterStatus{Phase: api.PhaseReady, Machines: there}, ""},
		"a restore":            {api.ClusterStatus{Phase: api.PhaseReady, Restore: restore}, WorkflowRestore},
		"a restore that runs": {api.ClusterStatus{Phase: api.PhaseProvisioning, Restore: restore},
			WorkflowRestore},
		"a restore after an error": {api.ClusterStatus{Phase: api.PhaseError, Restore: restore}, WorkflowRestore},
		"a start": {api.ClusterStatus{Phase: api.PhaseStopped, Restore: restore, Stop: stop},
			WorkflowRestore},
		"a delete goes first": {api.ClusterStatus{Phase: api.PhaseDeleting, Restore: restore, Stop: stop}, ""},
		"a stop": {api.ClusterStatus{Phase: api.PhaseReady, Stop: stop, Machines: there},
			WorkflowStop},
		"a failed restore of a stopped cluster": {api.ClusterStatus{Phase: api.PhaseError, Machines: there,
			Restore: &api.RestoreRequest{FailedAt: time.Unix(1, 0)}, Stop: &api.StopRequest{Snapshot: "stop-1"}}, ""},
		"a stop after an error":       {api.ClusterStatus{Phase: api.PhaseError, Stop: stop}, WorkflowStop},
		"a create goes before a stop": {api.ClusterStatus{Phase: api.PhaseProvisioning, Stop: stop}, ""},
		"stopped":                     {api.ClusterStatus{Phase: api.PhaseStopped, Stop: stop, Machines: gone}, ""},
		"stopped with machines": {api.ClusterStatus{Phase: api.PhaseStopped, Stop: stop, Machines: there},
			WorkflowStop},
	} {
		if got := RequestedOperation(&api.Cluster{Status: tt.status}); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
