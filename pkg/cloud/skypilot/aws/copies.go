package aws

import (
	"context"
	"fmt"
	"slices"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/bridge"
)

// ClusterNameTag contains the name of a SkyPilot cluster. SkyPilot terminates, starts and counts all instances that
// have it. A copy of an instance has it as well (Launch more like this copies tags), so it would share the fate of the
// original.
const ClusterNameTag = "ray-cluster-name"

// Record is what this package needs of a SkyPilot cluster.
type Record struct {
	Name        string
	Cloud       string // its name in specs
	NameOnCloud string // the value of ClusterNameTag
}

// FindCopies returns the ids of the instances that SkyPilot takes for the target besides the target itself. It also
// checks the target's own tags.
func (a *Account) FindCopies(ctx context.Context, target cloud.Target, r Record) (copies []string, err error) {
	// Copies need not have our own labels.
	all, err := a.listInstances(ctx, map[string]string{ClusterNameTag: r.NameOnCloud})
	if err != nil {
		return nil, fmt.Errorf("machine %s: %w", target.Name, err)
	}
	for _, i := range all {
		if i.ID != target.ID {
			copies = append(copies, i.ID)
		} else if err := target.CheckIdentity(newMachine(i)); err != nil {
			return nil, err
		}
	}
	return copies, nil
}

// MergeStrays adds the owner's machines on AWS that are not listed: SkyPilot lost its state, it failed to clean up, or
// someone copied a machine. They cost money all the same. It removes listed machines that are gone and whose records
// exist only because of copies.
func (a *Account) MergeStrays(ctx context.Context, owner cloud.Owner, records []Record,
	listed []cloud.Machine) ([]cloud.Machine, error) {
	all, err := a.listInstances(ctx, ownerTags(owner))
	if err != nil {
		return listed, err
	}
	strays := mergeInstances(listed, all)
	for _, r := range records {
		gone, err := a.isOutlivedByCopies(ctx, r, listed, all)
		if err != nil {
			return append(listed, strays...), err
		}
		if gone {
			listed = slices.DeleteFunc(listed, func(m cloud.Machine) bool { return m.Name == r.Name })
		}
	}
	return append(listed, strays...), nil
}

// isOutlivedByCopies reports whether the machine of a record is gone, and SkyPilot keeps the record only because other
// instances have the machine's tag: copies without our labels. all are the instances with our labels.
func (a *Account) isOutlivedByCopies(ctx context.Context, r Record, listed []cloud.Machine,
	all []bridge.Instance) (bool, error) {
	at := slices.IndexFunc(listed, func(m cloud.Machine) bool { return m.Name == r.Name })
	if at < 0 || listed[at].Cloud != Name || listed[at].ID == "" || r.NameOnCloud == "" {
		return false, nil
	}
	isOriginal := func(i bridge.Instance) bool { return i.ID == listed[at].ID }
	if slices.ContainsFunc(all, isOriginal) {
		return false, nil
	}
	tagged, err := a.listInstances(ctx, map[string]string{ClusterNameTag: r.NameOnCloud})
	return err == nil && len(tagged) > 0 && !slices.ContainsFunc(tagged, isOriginal), err
}

// mergeInstances returns the machines on AWS that are not listed: those that SkyPilot does not know, and copies of
// those that it knows. If the instance that SkyPilot remembers is gone, it changes the listed machine to the instance
// that has its name.
func mergeInstances(listed []cloud.Machine, all []bridge.Instance) []cloud.Machine {
	var strays []cloud.Machine
	for _, i := range all {
		m := newMachine(i)
		known := slices.IndexFunc(listed, func(k cloud.Machine) bool { return k.Name == m.Name })
		switch {
		case m.Name == "":
		case known < 0:
			strays = append(strays, m)
		case listed[known].ID == m.ID || listed[known].ID == "" ||
			listed[known].Cloud != Name: // it is being launched, or on another cloud
		case slices.ContainsFunc(all, func(o bridge.Instance) bool { return o.ID == listed[known].ID }):
			strays = append(strays, m)
		default:
			listed[known].ID, listed[known].Address, listed[known].PrivateAddress = m.ID, m.Address, m.PrivateAddress
		}
	}
	return strays
}
