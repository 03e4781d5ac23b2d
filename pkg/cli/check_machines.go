package cli

import (
	"context"
	"errors"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
)

// checkMachines prints what is wrong with the machines of a cluster.
func (a *app) checkMachines(ctx context.Context, cluster string, output *outputFlags) error {
	if err := validateClusterFlag(cluster); err != nil {
		return err
	}
	ops, err := a.connectClient(ctx)
	if err != nil {
		return err
	}
	r := render.MachineReport{Cluster: cluster, Machines: []api.MachineCheck{}} // [] in JSON, not null
	err = a.runWithSpinner("Checking the machines of cluster "+cluster, output.isStructured(),
		func(*terminal.Spinner) error {
			s, err := ops.ConnectStore(ctx)
			if err != nil {
				return err
			}
			c, err := s.ReadCluster(ctx, cluster)
			if err != nil {
				return err
			}
			result, err := ops.CheckMachines(ctx, c.Ref())
			r.Machines = append(r.Machines, result.Machines...)
			return err
		})
	if err != nil {
		return err
	}
	r.OK = r.CountBadMachines() == 0
	if output.isStructured() {
		err = output.write(a.env.Out, r)
	} else {
		err = terminal.WritePage(a.env.Out, r.RenderPage())
	}
	if err == nil && !r.OK {
		err = &reportedError{errors.New("a machine has a problem")} // the page shows it
	}
	return err
}
