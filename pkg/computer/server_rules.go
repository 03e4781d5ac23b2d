package computer

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// slowSync is how long a synced write may take before etcd is slow (etcd.io/docs "Hardware": 10 ms at the 99th
// percentile; a single member bears more).
const slowSync = 50 * time.Millisecond

// findWrongClock reports a clock that is certainly wrong, or that nobody sets.
func findWrongClock(f Facts) []Finding {
	c := f.Clock
	if behind := c.Past.Sub(c.Now); !c.Past.IsZero() && behind > maxClockSkew {
		return []Finding{newProblem(checkClock, "set the clock (sudo timedatectl set-ntp true, or sudo date -s TIME)",
			"the clock of this computer is at least %s behind (%s is later): certificates would not be valid",
			behind.Round(time.Minute), c.PastBy)}
	}
	if c.Known && !c.Synchronized {
		return []Finding{newWarning(checkClock, "sudo timedatectl set-ntp true (where timedatectl is missing: install "+
			"chrony); nothing has to be done if a hypervisor sets the clock",
			"nothing sets the clock of this computer (the kernel says that it is not synchronized): machines of a "+
				"cloud "+
				"reject certificates if it is wrong by minutes")}
	}
	return nil
}

// findNetworkFileSystem reports data of etcd on a network file system.
func findNetworkFileSystem(f Facts) []Finding {
	if f.State.FileSystem == "" {
		return nil
	}
	return []Finding{newWarning(checkFileSystem,
		"keep it on a disk of this computer: set SKYCONF_DIR (or --config-dir) to "+
			"a directory there before the first create",
		"%s is on a network file system (%s): etcd and Temporal's database need a disk, and locks of several "+
			"computers "+
			"there do not exclude each other reliably", f.State.Path, f.State.FileSystem)}
}

func findSlowDisk(f Facts) []Finding {
	if f.State.SyncLatency <= slowSync {
		return nil
	}
	return []Finding{newWarning(checkDiskLatency,
		"use a faster disk (SKYCONF_DIR), or end what writes to it now (iotop)",
		"a small write to the disk of %s takes %s; etcd wants 10 ms, and everything waits for it", f.State.Path,
		f.State.SyncLatency.Round(time.Millisecond))}
}

// findTakenPorts reports ports of skyd that another program has. skyd replaces those that no setting names when it
// starts; see DescribeReplacedPorts for one that runs.
func findTakenPorts(f Facts) []Finding {
	var found []Finding
	for _, p := range f.Ports {
		if !p.Chosen {
			continue
		}
		find, harm := newProblem, "skyd does not start"
		switch {
		case p.OfSkyPilot:
			find, harm = newWarning, "the SkyPilot server cannot start there"
		case p.Running:
			find, harm = newWarning, "skyd, which runs with another port, will not start again"
		}
		found = append(found, find(checkPorts, "stop that program, choose another port ("+p.HowToSet+
			"), or remove the setting: skyd then takes a free port",
			"%s, and a setting names this port: %s", describeOwner([]Port{p}), harm))
	}
	for _, ports := range groupByOwner(f.Ports, func(p Port) bool { return !p.Chosen && !p.Running }) {
		found = append(found, newWarning(checkPorts, "nothing has to be done: skyd takes free ports by itself when it "+
			"starts, and keeps them", "%s", describeOwner(ports)))
	}
	return found
}

// DescribeReplacedPorts says which usual ports a running skyd does not have, and whose they are: a line for each owner.
func DescribeReplacedPorts(f Facts) []string {
	var lines []string
	for _, ports := range groupByOwner(f.Ports, func(p Port) bool { return !p.Chosen && p.Running }) {
		lines = append(lines, describeOwner(ports)+": skyd uses free ones instead")
	}
	return lines
}

// groupByOwner returns the ports that qualify in groups with the same owner, in their order.
func groupByOwner(ports []Port, qualifies func(Port) bool) [][]Port {
	var groups [][]Port
	for _, p := range ports {
		if !qualifies(p) {
			continue
		}
		i := slices.IndexFunc(groups, func(group []Port) bool { return group[0].Owner == p.Owner })
		if i < 0 {
			groups = append(groups, []Port{p})
			continue
		}
		groups[i] = append(groups[i], p)
	}
	return groups
}

// describeOwner says whose some ports are, which have the same owner.
func describeOwner(ports []Port) string {
	var names []string
	for _, p := range ports {
		names = append(names, fmt.Sprintf("%d (%s)", p.Number, p.For))
	}
	last := len(names) - 1
	if last == 0 {
		return fmt.Sprintf("port %s belongs to %s", names[0], ports[0].Owner)
	}
	return fmt.Sprintf("ports %s and %s belong to %s", strings.Join(names[:last], ", "), names[last], ports[0].Owner)
}
