package integration

import (
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operations"
)

func TestACreateComesToReady(t *testing.T) {
	w := newWorld(t)
	ref := w.create("ready", 3, operations.CreateOptions{})
	c := w.awaitReady(ref)
	for _, m := range c.Status.Machines {
		if m.State != api.MachineReady {
			t.Errorf("%s is %s", m.Name, m.State)
		}
	}
}
