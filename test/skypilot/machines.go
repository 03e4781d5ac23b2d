package skypilot

import (
	"context"
	"fmt"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
)

// Machine is a Docker host of one of the clouds.
type Machine struct {
	// Name is the cloud's id of the machine.
	Name, Cloud, Region, Type string
	// Cluster is SkyPilot's name of the cluster on the cloud; on AWS only the instance's tags have it.
	Cluster string
	// Address is empty unless the machine is running.
	Address   string
	Running   bool
	Container string
}

// ListMachines returns the existing hosts of all clouds, regardless of what the clouds report.
func (e *Env) ListMachines(ctx context.Context) ([]Machine, error) {
	found, err := e.engine.api.ContainerList(ctx, container.ListOptions{All: true,
		Filters: filters.NewArgs(filters.Arg("label", LabelEnv+"="+e.id))})
	if err != nil {
		return nil, err
	}
	var list []Machine
	for _, c := range found {
		m := Machine{
			Name: strings.TrimPrefix(c.Names[0], "/skytest-"+e.id+"-"), Container: c.ID,
			Running: c.State == container.StateRunning,
			Cloud:   c.Labels["skyctl-test-cloud"], Region: c.Labels["skyctl-test-region"],
			Type: c.Labels["skyctl-test-type"], Cluster: c.Labels["skyctl-test-cluster"],
		}
		for _, n := range c.NetworkSettings.Networks {
			m.Address = n.IPAddress
		}
		list = append(list, m)
	}
	return list, nil
}

// PowerOffMachine powers off a machine from within, without a call to its cloud.
func (e *Env) PowerOffMachine(ctx context.Context, m Machine) error {
	made, err := e.engine.api.ContainerExecCreate(ctx, m.Container,
		container.ExecOptions{Cmd: []string{"systemctl", "poweroff"}})
	if err != nil {
		return err
	}
	return e.engine.api.ContainerExecStart(ctx, made.ID, container.ExecStartOptions{})
}

// ReadGatewayAddress returns this computer's address on the hosts' network.
func (e *Env) ReadGatewayAddress(ctx context.Context) (string, error) {
	n, err := e.engine.api.NetworkInspect(ctx, e.networkName(), network.InspectOptions{})
	if err != nil {
		return "", err
	}
	for _, c := range n.IPAM.Config {
		if c.Gateway != "" {
			return c.Gateway, nil
		}
	}
	return "", fmt.Errorf("network %s has no gateway", n.Name)
}
