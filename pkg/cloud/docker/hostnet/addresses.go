package hostnet

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"net/netip"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker/engine"
)

// LabelAddress is the fixed address of a host. An engine gives the address of a stopped container to the next one that
// starts, unless both have fixed addresses; the machines of a cluster no longer find a host that moved.
const LabelAddress = "skyctl-address"

// FindFreeAddress chooses the fixed address of a new host. No other host has it: running, stopped, or created and never
// started. It is in the upper half of the network, because an engine assigns addresses from the bottom to hosts of
// earlier versions, which have no fixed one. The caller holds the lock.
func (n *Network) FindFreeAddress(ctx context.Context, owner cloud.Owner, networkID, seed string) (string, error) {
	inspected, err := n.engine.API.NetworkInspect(ctx, networkID, network.InspectOptions{})
	if err != nil {
		return "", n.engine.WrapError("look for a free address", err)
	}
	taken := map[netip.Addr]bool{}
	for _, endpoint := range inspected.Containers {
		if p, err := netip.ParsePrefix(endpoint.IPv4Address); err == nil {
			taken[p.Addr()] = true
		}
	}
	hosts, err := n.listHosts(ctx, owner)
	if err != nil {
		return "", n.engine.WrapError("look for a free address", err)
	}
	for _, h := range hosts {
		for _, text := range []string{assignedAddress(h), ContainerAddress(h)} {
			if a, err := netip.ParseAddr(text); err == nil {
				taken[a] = true
			}
		}
	}
	for _, config := range inspected.IPAM.Config {
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
		Message: fmt.Sprintf("network %s has no free address for another host", inspected.Name)}
}

func (n *Network) listHosts(ctx context.Context, owner cloud.Owner) ([]container.Summary, error) {
	return n.engine.ListContainers(ctx, filters.Arg("label", cloud.LabelInstallation+"="+owner.Installation))
}

// pickFreeAddress returns a free address of a subnet: of its upper half, or of the lower one if that is full. The seed
// spreads machines, so that a new one seldom gets the address that another one had a moment ago.
func pickFreeAddress(subnet netip.Prefix, taken map[netip.Addr]bool, seed string) (netip.Addr, bool) {
	subnet = subnet.Masked()
	size := uint32(1) << (32 - subnet.Bits())
	if subnet.Bits() == 0 || size < 4 {
		return netip.Addr{}, false
	}
	base := subnet.Addr().As4()
	first := binary.BigEndian.Uint32(base[:])
	addressAt := func(offset uint32) netip.Addr {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], first+offset)
		return netip.AddrFrom4(a)
	}
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(seed))
	half := size / 2
	upper := half - 1 // without the broadcast address
	for i := range upper {
		if a := addressAt(half + (sum.Sum32()%upper+i)%upper); !taken[a] {
			return a, true
		}
	}
	for i := half - 1; i > 1; i-- { // 0 is the network, 1 usually its gateway
		if a := addressAt(i); !taken[a] {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// ContainerAddress is the address on the only network of a host. A container that is not running has none.
func ContainerAddress(s container.Summary) string {
	if s.NetworkSettings == nil {
		return ""
	}
	for _, endpoint := range s.NetworkSettings.Networks {
		if endpoint != nil && endpoint.IPAddress != "" {
			return endpoint.IPAddress
		}
	}
	return ""
}

// configuredAddress is the address that the engine gives a host at each start, or empty if the engine chooses one.
func configuredAddress(s container.Summary) string {
	if s.NetworkSettings == nil {
		return ""
	}
	for _, endpoint := range s.NetworkSettings.Networks {
		if endpoint != nil && endpoint.IPAMConfig != nil && endpoint.IPAMConfig.IPv4Address != "" {
			return endpoint.IPAMConfig.IPv4Address
		}
	}
	return ""
}

// HasNetwork reports whether a host is on a network.
func HasNetwork(s container.Summary) bool {
	return s.NetworkSettings != nil && len(s.NetworkSettings.Networks) > 0
}

// assignedAddress is a host's fixed address, even while it is on no network. It is empty if the host has none.
func assignedAddress(s container.Summary) string {
	return cmp.Or(configuredAddress(s), s.Labels[LabelAddress])
}

// NewEndpoint is an endpoint at a fixed address.
func NewEndpoint(address string) *network.EndpointSettings {
	return &network.EndpointSettings{IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: address}}
}

// IsAddressTaken reports whether a host could not start or be connected because its address belongs to another
// container, or is outside its network. An engine has no code for this.
func IsAddressTaken(err error) bool {
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

// EnsureAssignedAddress makes sure that a host starts at its fixed address: the wanted one, or else the one that it was
// created with. It gets a new one if that is the fixed address of another host. An interruption leaves the host on no
// network; calling this again repairs that. It takes the lock.
func (n *Network) EnsureAssignedAddress(ctx context.Context, s container.Summary, owner cloud.Owner,
	wanted string) error {
	wanted = cmp.Or(wanted, assignedAddress(s))
	running, current := s.State == container.StateRunning, ContainerAddress(s)
	switch {
	case !HasNetwork(s): // an earlier call was interrupted
	case wanted == "", running && current == wanted:
		// A host that runs at its address is fixed there at its next start: now it would break its connections.
		return nil
	case !running && configuredAddress(s) == wanted:
		return nil
	}
	release, err := n.Lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	networkID, err := n.Ensure(ctx, owner)
	if err != nil {
		return err
	}
	if wanted == "" {
		wanted, err = n.FindFreeAddress(ctx, owner, networkID, s.ID)
	} else {
		wanted, err = n.vacateAddress(ctx, s, owner, networkID, wanted)
	}
	if err != nil {
		return err
	}
	if err = n.moveToAddress(ctx, s, networkID, wanted); !IsAddressTaken(err) {
		return err
	}
	return n.moveToFreeAddress(ctx, s, owner, networkID, err)
}

// MoveToFreeAddress gives a host a new fixed address because something that is not a host has its own. It takes the
// lock.
func (n *Network) MoveToFreeAddress(ctx context.Context, s container.Summary, owner cloud.Owner, reason error) error {
	release, err := n.Lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	networkID, err := n.Ensure(ctx, owner)
	if err != nil {
		return err
	}
	return n.moveToFreeAddress(ctx, s, owner, networkID, reason)
}

func (n *Network) moveToFreeAddress(ctx context.Context, s container.Summary, owner cloud.Owner, networkID string,
	reason error) error {
	n.engine.Log.Warn("a host cannot have its address and gets another one", "machine", engine.ContainerName(s),
		"reason", reason)
	address, err := n.FindFreeAddress(ctx, owner, networkID, s.ID)
	if err != nil {
		return err
	}
	return n.moveToAddress(ctx, s, networkID, address)
}

// vacateAddress makes sure that no other host has the wanted address. It moves a host that the engine gave the address
// by chance. If it is the fixed address of another host, the returned address is a new one.
func (n *Network) vacateAddress(ctx context.Context, s container.Summary, owner cloud.Owner, networkID,
	wanted string) (string, error) {
	hosts, err := n.listHosts(ctx, owner)
	if err != nil {
		return "", err
	}
	for _, h := range hosts {
		switch {
		case h.ID == s.ID:
		case assignedAddress(h) == wanted:
			return n.FindFreeAddress(ctx, owner, networkID, s.ID)
		case ContainerAddress(h) == wanted:
			other, err := n.FindFreeAddress(ctx, owner, networkID, h.ID)
			if err != nil {
				return "", err
			}
			n.engine.Log.Info("a host has the address of another one and is moved", "machine", engine.ContainerName(h),
				"address", wanted, "to", other)
			if err := n.moveToAddress(ctx, h, networkID, other); err != nil {
				return "", err
			}
		}
	}
	return wanted, nil
}

func (n *Network) moveToAddress(ctx context.Context, s container.Summary, networkID, address string) error {
	current, err := n.engine.API.ContainerInspect(ctx, s.ID) // the summary may be older than the last change
	if err != nil {
		return err
	}
	if current.NetworkSettings != nil {
		for name := range current.NetworkSettings.Networks {
			if err := n.engine.API.NetworkDisconnect(ctx, name, s.ID, true); err != nil && !errdefs.IsNotFound(err) {
				return err
			}
		}
	}
	return n.engine.API.NetworkConnect(ctx, networkID, s.ID, NewEndpoint(address))
}
