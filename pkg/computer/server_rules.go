package computer

import "time"

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
