package docker

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"net/netip"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

// labelAddress is the fixed address of a host. An engine gives the address of a stopped container to the next one that
// starts, unless both have fixed ones; a host that moves is lost to the machines of its cluster.
const labelAddress = "skyctl-address"

// findFreeAddress chooses the fixed address of a new host, which no other host has: running, stopped, or created and
// never started. It lies in the upper half of the network: an engine gives addresses of its own choice from the bottom,
// to hosts of versions that fixed none. The network has to be held.
func (c *Cloud) findFreeAddress(ctx context.Context, owner cloud.Owner, networkID, seed string) (string, error) {
	on, err := c.api.NetworkInspect(ctx, networkID, network.InspectOptions{})
	if err != nil {
		return "", c.wrapEngineError("look for a free address", err)
	}
	taken := map[netip.Addr]bool{}
	for _, endpoint := range on.Containers {
		if p, err := netip.ParsePrefix(endpoint.IPv4Address); err == nil {
			taken[p.Addr()] = true
		}
	}
	hosts, err := c.listContainers(ctx, filters.Arg("label", cloud.LabelInstallation+"="+owner.Installation))
	if err != nil {
		return "", c.wrapEngineError("look for a free address", err)
	}
	for _, h := range hosts {
		for _, text := range []string{assignedAddress(h), containerAddress(h)} {
			if a, err := netip.ParseAddr(text); err == nil {
				taken[a] = true
			}
		}
	}
	for _, config := range on.IPAM.Config {
		if a, err := netip.ParseAddr(config.Gateway); err == nil {
			taken[a] = true
		}
		subnet, err := netip.ParsePrefix(config.Subnet)
		if err != nil || !subnet.Addr().Is4() {
			continue
		}
		if a, ok := pickFreeAddress(subnet, taken, seed); ok {
			return a.String(), nil
		}
	}
	return "", &cloud.Error{Kind: cloud.Capacity,
		Message: fmt.Sprintf("network %s has no free address for another host", on.Name)}
}

// pickFreeAddress returns an address of a subnet's upper half that is not taken, and the last resort of its lower half
// where all are. The seed spreads machines, so that a new one seldom gets the address that another one had a moment
// ago.
func pickFreeAddress(subnet netip.Prefix, taken map[netip.Addr]bool, seed string) (netip.Addr, bool) {
	subnet = subnet.Masked()
	size := uint32(1) << (32 - subnet.Bits())
	if subnet.Bits() == 0 || size < 4 {
		return netip.Addr{}, false
	}
	base := subnet.Addr().As4()
	first := uint32(base[0])<<24 | uint32(base[1])<<16 | uint32(base[2])<<8 | uint32(base[3])
	at := func(n uint32) netip.Addr {
		n += first
		return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
	}
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(seed))
	half := size / 2
	upper := half - 1 // without the broadcast address
	for i := range upper {
		if a := at(half + (sum.Sum32()%upper+i)%upper); !taken[a] {
			return a, true
		}
	}
	for n := half - 1; n > 1; n-- { // 0 is the network, 1 mostly its gateway
		if a := at(n); !taken[a] {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// configuredAddress is the address that the engine gives a host at each start; empty where it chooses one.
func configuredAddress(s container.Summary) string {
	if s.NetworkSettings == nil {
		return ""
	}
	for _, n := range s.NetworkSettings.Networks {
		if n != nil && n.IPAMConfig != nil && n.IPAMConfig.IPv4Address != "" {
			return n.IPAMConfig.IPv4Address
		}
	}
	return ""
}

func hasNetwork(s container.Summary) bool {
	return s.NetworkSettings != nil && len(s.NetworkSettings.Networks) > 0
}

// assignedAddress is the address that a host has for good, though it may be on no network now; empty where it has none.
func assignedAddress(s container.Summary) string {
	return cmp.Or(configuredAddress(s), s.Labels[labelAddress])
}

// newEndpointSettings is an endpoint at a fixed address.
func newEndpointSettings(address string) *network.EndpointSettings {
	return &network.EndpointSettings{IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: address}}
}

// isAddressTaken says that a host can't start, or be connected, since its address is another's or no longer one of its
// network.
func isAddressTaken(err error) bool {
	if err == nil {
		return false
	}
	text := strings.ToLower(err.Error())
	for _, words := range []string{"address already in use", "requested address is not available",
		"no configured subnet", "does not belong to any of this network's subnets"} {
		if strings.Contains(text, words) {
			return true
		}
	}
	return false
}

// ensureAssignedAddress has a host come up at its address for good: the one that its record says, or else the one that
// it was made with. Where another host has that one fixed, it gets a new one. Interrupted, it leaves a host on no
// network; done again, it puts that right.
func (c *Cloud) ensureAssignedAddress(ctx context.Context, s container.Summary, owner cloud.Owner,
	wanted string) error {
	wanted = cmp.Or(wanted, assignedAddress(s))
	running, now := s.State == container.StateRunning, containerAddress(s)
	switch {
	case !hasNetwork(s): // somebody was interrupted in the midst of this
	// it is fixed at its next start: to do it now would break its connections
	case wanted == "", running && now == wanted:
		return nil
	case !running && configuredAddress(s) == wanted:
		return nil
	}
	release, err := c.lockNetwork(ctx)
	if err != nil {
		return err
	}
	defer release()
	networkID, err := c.ensureNetwork(ctx, owner)
	if err != nil {
		return err
	}
	if wanted == "" {
		wanted, err = c.findFreeAddress(ctx, owner, networkID, s.ID)
	} else {
		wanted, err = c.vacateAddress(ctx, s, owner, networkID, wanted)
	}
	if err != nil {
		return err
	}
	if err = c.moveToAddress(ctx, s, networkID, wanted); !isAddressTaken(err) {
		return err
	}
	return c.moveToFreeAddress(ctx, s, owner, networkID, err)
}

// moveToFreeAddress gives a host a new address, for good: what has its own is no host of ours.
func (c *Cloud) moveToFreeAddress(ctx context.Context, s container.Summary, owner cloud.Owner, networkID string,
	reason error) error {
	c.log.Warn("a host can't have its address, and gets another one", "machine", containerName(s), "reason", reason)
	address, err := c.findFreeAddress(ctx, owner, networkID, s.ID)
	if err != nil {
		return err
	}
	return c.moveToAddress(ctx, s, networkID, address)
}

// vacateAddress sees to it that nobody has an address that a host is to get again. A host which the engine gave it by
// chance is moved to another one; where a host has it fixed, the address that is returned is a new one.
func (c *Cloud) vacateAddress(ctx context.Context, s container.Summary, owner cloud.Owner, networkID,
	wanted string) (string, error) {
	hosts, err := c.listContainers(ctx, filters.Arg("label", cloud.LabelInstallation+"="+owner.Installation))
	if err != nil {
		return "", err
	}
	for _, h := range hosts {
		switch {
		case h.ID == s.ID:
		case assignedAddress(h) == wanted:
			return c.findFreeAddress(ctx, owner, networkID, s.ID)
		case containerAddress(h) == wanted:
			other, err := c.findFreeAddress(ctx, owner, networkID, h.ID)
			if err != nil {
				return "", err
			}
			c.log.Info("a host has the address of another one, and is moved", "machine", containerName(h), "address",
				wanted, "to", other)
			if err := c.moveToAddress(ctx, h, networkID, other); err != nil {
				return "", err
			}
		}
	}
	return wanted, nil
}

// moveToAddress moves a host to a fixed address.
func (c *Cloud) moveToAddress(ctx context.Context, s container.Summary, networkID, address string) error {
	now, err := c.api.ContainerInspect(ctx, s.ID) // the list may be older than what was just done to it
	if err != nil {
		return err
	}
	if now.NetworkSettings != nil {
		for name := range now.NetworkSettings.Networks {
			if err := c.api.NetworkDisconnect(ctx, name, s.ID, true); err != nil && !errdefs.IsNotFound(err) {
				return err
			}
		}
	}
	return c.api.NetworkConnect(ctx, networkID, s.ID, newEndpointSettings(address))
}
