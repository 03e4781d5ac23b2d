package skypilot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/bridge"
)

// clusterNameTag is where SkyPilot writes a cluster's name on AWS. It ends, starts and counts whatever carries it, so
// that a copy of an instance (Launch more like this copies tags) shares the fate of the real one.
const clusterNameTag = "ray-cluster-name"

// findInstanceAndCopies are the instances on AWS that SkyPilot takes for a cluster's machine: the target, whose tags
// are read again with that, and others, which carry the same tags. Where the account can't be asked from here, nobody
// can say.
func (c *Cloud) findInstanceAndCopies(ctx context.Context, target cloud.Target,
	found *clusterRecord) (real *bridge.Instance, copies []bridge.Instance,
	err error) {
	if found.CloudName() != awsName || found.NameOnCloud == "" || target.ID == "" {
		return nil, nil, nil
	}
	if there, err := c.canQueryAWS(ctx); err != nil || !there {
		return nil, nil, err
	}
	// whoever's they are by the labels of ours
	all, err := c.listInstancesByTags(ctx, map[string]string{clusterNameTag: found.NameOnCloud})
	if err != nil {
		return nil, nil, fmt.Errorf("machine %s: %w", target.Name, err)
	}
	for _, i := range all {
		if i.ID == target.ID {
			real = &i
		} else {
			copies = append(copies, i)
		}
	}
	if real != nil {
		err = target.CheckIdentity(machineFromInstance(*real))
	}
	return real, copies, err
}

// terminateBesideCopies takes the target down where SkyPilot would end copies with it: by the id of the instance. It
// says whether it had to; SkyPilot's record then stands for the copies, which are listed as such.
func (c *Cloud) terminateBesideCopies(ctx context.Context, target cloud.Target, found *clusterRecord) (done bool,
	err error) {
	if target.ID == found.NameOnCloud {
		return false, nil
	}
	_, copies, err := c.findInstanceAndCopies(ctx, target, found)
	if err != nil || len(copies) == 0 {
		return false, err
	}
	c.log.Warn("copies of a machine carry its tags: it is terminated by its id, and they are left alone", "machine",
		target.Name, "id", target.ID, "copies", instanceIDs(copies))
	return true, c.terminateInstance(ctx, target)
}

// isOutlivedByCopies says that the machine of a record is gone, and that SkyPilot keeps the record only since others
// carry the machine's tag there: copies from which somebody has taken the labels of ours. all are those on AWS that
// have these.
func (c *Cloud) isOutlivedByCopies(ctx context.Context, r clusterRecord, listed []cloud.Machine,
	all []bridge.Instance) (bool, error) {
	at := slices.IndexFunc(listed, func(m cloud.Machine) bool { return m.Name == r.Name })
	if at < 0 || listed[at].Cloud != awsName || listed[at].ID == "" || r.NameOnCloud == "" {
		return false, nil
	}
	is := func(i bridge.Instance) bool { return i.ID == listed[at].ID }
	if slices.ContainsFunc(all, is) {
		return false, nil
	}
	tagged, err := c.listInstancesByTags(ctx, map[string]string{clusterNameTag: r.NameOnCloud})
	return err == nil && len(tagged) > 0 && !slices.ContainsFunc(tagged, is), err
}

// checkNoCopies says that nothing else is started with the target; its error is a Conflict.
func (c *Cloud) checkNoCopies(ctx context.Context, target cloud.Target, found *clusterRecord) error {
	_, copies, err := c.findInstanceAndCopies(ctx, target, found)
	if err == nil && len(copies) > 0 {
		err = &cloud.Error{Kind: cloud.Conflict, Message: fmt.Sprintf(
			"machine %s is not started: %s on AWS carries the same tags, and SkyPilot may start it instead; "+
				"take the tag %s off it, or end it",
			target.Name, strings.Join(instanceIDs(copies), ", "), clusterNameTag)}
	}
	return err
}

func instanceIDs(all []bridge.Instance) []string {
	var ids []string
	for _, i := range all {
		ids = append(ids, i.ID)
	}
	return ids
}

// mergeInstances adds to the listed machines what AWS has besides: machines that SkyPilot does not know, and copies of
// those that it knows. Where the instance that SkyPilot remembers is not there any more, its record is that of the one
// which bears the name.
func mergeInstances(listed []cloud.Machine, all []bridge.Instance) []cloud.Machine {
	var more []cloud.Machine
	for _, i := range all {
		m := machineFromInstance(i)
		known := slices.IndexFunc(listed, func(k cloud.Machine) bool { return k.Name == m.Name })
		switch {
		case m.Name == "":
		case known < 0:
			more = append(more, m)
		case listed[known].ID == m.ID || listed[known].ID == "" ||
			listed[known].Cloud != awsName: // being launched, or elsewhere
		case slices.ContainsFunc(all, func(o bridge.Instance) bool { return o.ID == listed[known].ID }):
			more = append(more, m)
		default:
			listed[known].ID, listed[known].Address, listed[known].PrivateAddress = m.ID, m.Address, m.PrivateAddress
		}
	}
	return more
}
