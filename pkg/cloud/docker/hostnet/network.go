// Package hostnet manages the bridge network that an installation's Docker hosts share, and the fixed address that each
// host has on it.
package hostnet

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker/engine"
)

// lockName is the lock under which the network and the addresses on it change.
const lockName = "network.lock"

// Network is the network of an installation's hosts.
type Network struct {
	engine       *engine.Engine
	name         string
	installation func(context.Context) (string, error)
}

// New returns the network. An empty name means one for each installation. The function, which may be nil, returns the
// id of the installation, for CheckName.
func New(e *engine.Engine, name string, installation func(context.Context) (string, error)) *Network {
	return &Network{engine: e, name: name, installation: installation}
}

// Name is the network's name. Names are unique on an engine, so two installations on one engine need two.
func (n *Network) Name(owner cloud.Owner) string {
	if n.name != "" {
		return n.name
	}
	return fmt.Sprintf("skyctl-%.12s", owner.Installation)
}

// Lock keeps everyone else from creating or removing the network, in this process and in others.
func (n *Network) Lock(ctx context.Context) (release func(), err error) {
	return n.engine.Lock(ctx, lockName)
}

// listByName returns the networks of a name, the oldest first. An engine allows several with the same name.
func (n *Network) listByName(ctx context.Context, name string) ([]network.Summary, error) {
	found, err := n.engine.API.NetworkList(ctx,
		network.ListOptions{Filters: filters.NewArgs(filters.Arg("name", name))})
	if err != nil {
		return nil, n.engine.WrapError("look for network "+name, err)
	}
	found = slices.DeleteFunc(found, func(s network.Summary) bool { return s.Name != name })
	slices.SortFunc(found, func(a, b network.Summary) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return found, nil
}

// Ensure returns the id of the installation's network and creates the network if it is missing. The caller holds the
// lock.
func (n *Network) Ensure(ctx context.Context, owner cloud.Owner) (string, error) {
	name := n.Name(owner)
	found, err := n.listByName(ctx, name)
	if err != nil {
		return "", err
	}
	if err := n.RemoveRanges(ctx, owner); err != nil {
		return "", err
	}
	if len(found) > 0 {
		return n.keepFirst(ctx, found, owner)
	}
	subnet, err := n.chooseSubnet(ctx, name, owner)
	if err != nil {
		return "", err
	}
	_, err = n.engine.API.NetworkCreate(ctx, name, network.CreateOptions{
		Driver: "bridge", Labels: map[string]string{cloud.LabelInstallation: owner.Installation},
		IPAM: &network.IPAM{Config: []network.IPAMConfig{{Subnet: subnet}}}, Options: n.newOptions(),
	})
	if err != nil && !errdefs.IsConflict(err) {
		return "", n.engine.WrapError("create network "+name, err)
	}
	// Another user may have created it at the same moment: an engine does not check and create in one step.
	found, err = n.listByName(ctx, name)
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", &cloud.Error{Kind: cloud.Transient,
			Message: fmt.Sprintf("create network %s: it was removed again", name)}
	}
	return n.keepFirst(ctx, found, owner)
}

// EnsureSingle makes sure that the installation's network exists once. It takes the lock.
func (n *Network) EnsureSingle(ctx context.Context, owner cloud.Owner) error {
	release, err := n.Lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	_, err = n.Ensure(ctx, owner)
	return err
}

// keepFirst returns the first of the networks of one name, which everyone keeps, and removes the others: no container
// starts while the name of its network is ambiguous.
func (n *Network) keepFirst(ctx context.Context, found []network.Summary, owner cloud.Owner) (string, error) {
	if err := checkOwner(found[0], owner); err != nil {
		return "", err
	}
	for _, twin := range found[1:] {
		if checkOwner(twin, owner) != nil {
			continue
		}
		if err := n.engine.API.NetworkRemove(ctx, twin.ID); err != nil && !errdefs.IsNotFound(err) {
			n.engine.Log.Warn("could not remove a duplicate network", "network", twin.Name, "id", twin.ID, "error", err)
		}
	}
	return found[0].ID, nil
}

// Remove removes the installation's network. The caller holds the lock, and no host is left.
func (n *Network) Remove(ctx context.Context, owner cloud.Owner) error {
	found, err := n.listByName(ctx, n.Name(owner))
	if err != nil {
		return err
	}
	for _, s := range found {
		if checkOwner(s, owner) != nil {
			continue
		}
		// If it is in use, another user's process launches into it, and will remove it.
		err := n.engine.API.NetworkRemove(ctx, s.ID)
		if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsPermissionDenied(err) && !errdefs.IsConflict(err) {
			return n.engine.WrapError("remove network "+s.Name, err)
		}
	}
	return nil
}

// checkOwner rejects a network of another owner.
func checkOwner(s network.Summary, owner cloud.Owner) error {
	if s.Labels[cloud.LabelInstallation] == owner.Installation {
		return nil
	}
	return &cloud.Error{Kind: cloud.Conflict,
		Message: fmt.Sprintf("network %s is taken: %s", s.Name, describeForeign(s))}
}

func describeForeign(s network.Summary) string {
	return fmt.Sprintf("the existing one (%.12s) was not created by this installation of skyctl, which does not "+
		"change "+
		"it; choose another name with skyd's setting docker.network (SKYCTL_DOCKER_NETWORK), and restart skyd", s.ID)
}

// CheckName rejects a network name that would make every launch fail: one that a network of another owner has. The
// error is an *api.FieldError that names the setting.
func (n *Network) CheckName(ctx context.Context) error {
	var owner cloud.Owner
	switch {
	case n.installation != nil:
		id, err := n.installation(ctx)
		if err != nil {
			return fmt.Errorf("find out which installation's network to use: %w", err)
		}
		owner.Installation = id
	case n.name == "":
		return nil // the name contains the installation's id, so no other owner has it
	}
	name := n.Name(owner)
	found, err := n.listByName(ctx, name)
	if err != nil || len(found) == 0 {
		return err
	}
	creator := found[0].Labels[cloud.LabelInstallation]
	if creator != "" && (owner.Installation == "" || creator == owner.Installation) {
		return nil
	}
	return &api.FieldError{Field: "docker.network", Value: name, Want: "the name of a network that is free: " +
		describeForeign(found[0])}
}

// scratchRange is the purpose of a network that exists only while the engine chooses a subnet.
var scratchRange = engine.Purpose{Name: "range"}

// rangeSuffix is part of the name of such a network.
const rangeSuffix = "-range"

// chooseSubnet has the engine choose a subnet: it creates a network and removes it again. An engine accepts a fixed
// address for a host only if the subnet of the network was given when it was created. If the process is killed in
// between, RemoveRanges removes the network later; its random name blocks nothing.
func (n *Network) chooseSubnet(ctx context.Context, name string, owner cloud.Owner) (string, error) {
	labels := n.engine.ScratchLabels(scratchRange)
	labels[cloud.LabelInstallation] = owner.Installation
	created, err := n.engine.API.NetworkCreate(ctx, name+rangeSuffix+"-"+strings.ToLower(rand.Text()[:8]),
		network.CreateOptions{Driver: "bridge", Labels: labels})
	if err != nil {
		return "", n.engine.WrapError("choose a subnet for network "+name, err)
	}
	inspected, err := n.engine.API.NetworkInspect(ctx, created.ID, network.InspectOptions{})
	if removed := n.engine.API.NetworkRemove(ctx, created.ID); err == nil && removed != nil &&
		!errdefs.IsNotFound(removed) {
		err = removed
	}
	if err != nil {
		return "", n.engine.WrapError("choose a subnet for network "+name, err)
	}
	if len(inspected.IPAM.Config) == 0 || inspected.IPAM.Config[0].Subnet == "" {
		return "", &cloud.Error{Kind: cloud.Transient,
			Message: "the Docker engine chose no subnet for network " + name}
	}
	return inspected.IPAM.Config[0].Subnet, nil
}

// listRanges lists the installation's networks that were created to choose a subnet. Earlier versions gave them no
// label of their own.
func (n *Network) listRanges(ctx context.Context, owner cloud.Owner) ([]network.Summary, error) {
	all, err := n.engine.API.NetworkList(ctx, network.ListOptions{
		Filters: filters.NewArgs(filters.Arg("label", cloud.LabelInstallation+"="+owner.Installation)),
	})
	if err != nil {
		return nil, n.engine.WrapError("look for leftover networks", err)
	}
	return slices.DeleteFunc(all, func(s network.Summary) bool {
		return s.Labels[engine.LabelScratch] != scratchRange.Name && s.Name != n.Name(owner)+rangeSuffix
	}), nil
}

// RemoveRanges removes networks that a killed process created to choose a subnet. The caller holds the lock, so none of
// them has an owner. One that cannot be removed blocks nothing.
func (n *Network) RemoveRanges(ctx context.Context, owner cloud.Owner) error {
	left, err := n.listRanges(ctx, owner)
	if err != nil {
		return err
	}
	for _, s := range left {
		if err := n.engine.API.NetworkRemove(ctx, s.ID); err != nil && !errdefs.IsNotFound(err) {
			n.engine.Log.Warn("could not remove the network of an interrupted launch", "network", s.Name, "id", s.ID,
				"error", err)
		}
	}
	return ctx.Err()
}

// DescribeRanges returns a sentence for each network that RemoveRanges removes.
func (n *Network) DescribeRanges(ctx context.Context, owner cloud.Owner) ([]string, error) {
	left, err := n.listRanges(ctx, owner)
	if err != nil {
		return nil, err
	}
	var described []string
	for _, s := range left {
		described = append(described, fmt.Sprintf("left over: network %s of an interrupted launch; the next create or "+
			"delete removes it", s.Name))
	}
	return described, nil
}
