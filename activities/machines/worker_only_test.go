package machines

import (
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
)

func TestWorkerDescribesItselfWithoutAskingACloud(t *testing.T) {
	a := &Activities{} // a question to a cloud would panic
	got, err := a.CheckSpec(t.Context(), operation.PlanInput{Spec: api.GroupSpec{Cloud: "aws"}, WorkerOnly: true})
	if err != nil || got.Worker == nil || got.Worker.Level != api.WorkerLevel || got.Placements != nil {
		t.Errorf("%+v, %v", got, err)
	}
}
