package docker

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker/hostnet"
	"github.com/sky-shift/skyctl/pkg/computer"
	"github.com/sky-shift/skyctl/pkg/diskspace"
)

// findComputerProblems applies the rules for hosts to this computer and its engine. The error, beside the findings, is
// that of an engine that cannot be asked.
func (c *Cloud) findComputerProblems(ctx context.Context) (computer.Facts, []api.Finding, error) {
	f := computer.GatherFacts(ctx, computer.Options{Env: os.Getenv})
	var err error
	f.Engine, err = c.describeEngine(ctx)
	return f, computer.FindHostProblems(f), err
}

// refuseComputer returns an error that tells all that keeps hosts from running; nil if nothing does.
func (c *Cloud) refuseComputer(ctx context.Context) error {
	facts, found, err := c.findComputerProblems(ctx)
	if err != nil {
		return err
	}
	c.facts.Store(&facts)
	if problems := computer.FormatProblems(found); problems != "" {
		return &cloud.Error{Kind: cloud.Infeasible, Message: "no Docker host can run on this computer: " + problems +
			" (skyctl check --cloud docker shows all)"}
	}
	return nil
}

var _ cloud.Warner = (*Cloud)(nil)

// ListWarnings returns what the last ValidateSpec has found and does not refuse, and that the computer has fewer CPUs
// than all its hosts would have.
func (c *Cloud) ListWarnings(machines []api.Placement) []api.Finding {
	last := c.facts.Load()
	if last == nil {
		return nil
	}
	facts := *last
	for _, m := range machines {
		facts.Engine.NewHosts.Count++
		facts.Engine.NewHosts.CPUs += m.CPUs
		facts.Engine.NewHosts.MemoryGiB += m.MemoryGiB
	}
	return slices.DeleteFunc(computer.FindHostProblems(facts), func(f api.Finding) bool {
		return f.Severity != api.FindingWarning
	})
}

// describeEngine asks the engine about itself.
func (c *Cloud) describeEngine(ctx context.Context) (computer.Engine, error) {
	e := computer.Engine{Address: c.engine.Address()}
	soon, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	asked := time.Now()
	info, err := c.engine.API.Info(soon)
	if err != nil {
		e.State = computer.JudgeEngineError(err, client.IsErrConnectionFailed(err))
		err = c.engine.WrapError("ask the Docker engine what its machine has", err)
		e.Answer = formatErrorLine(err)
		e.InGroup = e.State == computer.EngineForbidden && computer.IsNewGroupMember()
		return e, err
	}
	e.State = computer.EngineAnswers
	c.noteEngineInfo(&e, info, asked)
	return e, errors.Join(c.noteNetworks(soon, &e), c.noteHosts(soon, &e))
}

// noteEngineInfo records what the engine said at a time after asked.
func (c *Cloud) noteEngineInfo(e *computer.Engine, info system.Info, asked time.Time) {
	e.Version, e.System, e.Product = info.ServerVersion, info.OSType, info.OperatingSystem
	e.Host = info.Name
	e.OwnHost, _ = os.Hostname()
	for _, option := range info.SecurityOptions {
		e.Rootless = e.Rootless || strings.Contains(option, "name=rootless")
		e.UserNamespaces = e.UserNamespaces || strings.Contains(option, "name=userns")
	}
	e.Driver = info.Driver
	for _, status := range info.DriverStatus {
		e.NoFileTypes = e.NoFileTypes || status[0] == "Supports d_type" && status[1] == "false"
	}
	has := c.capacityFromInfo(info)
	e.CPUs, e.MemoryGiB, e.RootDir = has.cpus, has.memoryGiB, info.DockerRootDir
	if c.engine.IsLocal() {
		e.Space, _ = diskspace.ReadSpace(info.DockerRootDir)
	}
	e.NoForwarding = !info.IPv4Forwarding
	e.Proxies = computer.Proxies{HTTP: info.HTTPProxy, HTTPS: info.HTTPSProxy, No: info.NoProxy}
	if theirs, err := time.Parse(time.RFC3339Nano, info.SystemTime); err == nil {
		e.Skew = measureSkew(theirs, asked, time.Now())
	}
	for _, pool := range info.DefaultAddressPools {
		if p, err := netip.ParsePrefix(pool.Base); err == nil {
			e.Pools = append(e.Pools, p)
		}
	}
}

// measureSkew returns how far a clock is ahead that was read between from and to.
func measureSkew(read, from, to time.Time) time.Duration {
	switch {
	case read.Before(from):
		return read.Sub(from)
	case read.After(to):
		return read.Sub(to)
	}
	return 0
}

// noteNetworks records the engine's bridge networks.
func (c *Cloud) noteNetworks(ctx context.Context, e *computer.Engine) error {
	own := ""
	if c.opts.Installation != nil {
		if id, err := c.opts.Installation(ctx); err == nil {
			own = c.network.Name(cloud.Owner{Installation: id})
		}
	}
	found, err := c.engine.API.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(
		filters.Arg("driver", "bridge"))})
	if err != nil {
		return c.engine.WrapError("list the Docker networks", err)
	}
	for _, s := range found {
		n := computer.Network{Name: s.Name, Own: s.Name == own, MTU: hostnet.ReadMTU(s)}
		for _, config := range s.IPAM.Config {
			if p, err := netip.ParsePrefix(config.Subnet); err == nil {
				n.Subnets = append(n.Subnets, p)
			}
		}
		e.Networks = append(e.Networks, n)
	}
	return nil
}

// noteHosts records the hosts of all installations that run on the engine.
func (c *Cloud) noteHosts(ctx context.Context, e *computer.Engine) error {
	found, err := c.engine.ListContainers(ctx, filters.Arg("label", cloud.LabelInstallation),
		filters.Arg("status", "running"))
	if err != nil {
		return c.engine.WrapError("list the running hosts", err)
	}
	for _, s := range found {
		m := machineOf(s)
		e.Hosts.Count++
		e.Hosts.CPUs += m.CPUs
		e.Hosts.MemoryGiB += m.MemoryGiB
	}
	return nil
}
