package skypilot

import (
	"context"
	"fmt"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
)

// Machine is a Docker host that one of the clouds gave.
type Machine struct {
	// Name is the cloud's id of it.
	Name, Cloud, Region, Type string
	// Cluster is SkyPilot's name of the cluster on the cloud; AWS has it in the instance's tags alone.
	Cluster string
	// Address is empty where it isn't running.
	Address   string
	Running   bool
	Container string
}

// ListMachines are the hosts that there are, of all clouds, whatever these say of them.
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

// PowerOffMachine ends a machine from within, as its own power-off does, without the clouds being asked.
func (e *Env) PowerOffMachine(ctx context.Context, m Machine) error {
	made, err := e.engine.api.ContainerExecCreate(ctx, m.Container,
		container.ExecOptions{Cmd: []string{"systemctl", "poweroff"}})
	if err != nil {
		return err
	}
	return e.engine.api.ContainerExecStart(ctx, made.ID, container.ExecStartOptions{})
}

// ReadGatewayAddress is the address that this machine has on the network of the hosts.
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
