package preflight

import (
	"fmt"
	"time"
)

const (
	// evictionShare is the share of free disk space below which the kubelet evicts pods; see evictionHard in pkg/rke2.
	evictionShare = 0.05
	// spaceForRKE2 is the disk space for RKE2 and the images of its pods on a new machine: the images of a server with
	// canal are about 3 GiB when they are unpacked, the rest is for RKE2's programs, etcd and logs. A kit has few.
	spaceForRKE2, spaceForKit = 4 << 30, 2 << 30
	// maxClockSkew is the largest accepted difference between a machine's clock and ours. A certificate is valid from
	// the time of the machine that issued it; machines whose clocks are behind reject it until then.
	maxClockSkew = 2 * time.Minute
)

// disk is a file system whose free space the kubelet monitors, in bytes.
type disk struct {
	path       string
	size, free int64
}

// findWrongClock reports a clock that differs too much from ours; skew is how far it is ahead.
func findWrongClock(skew time.Duration) []Finding {
	if skew.Abs() <= maxClockSkew {
		return nil
	}
	return []Finding{newProblem(checkClock, "correct the wrong clock (timedatectl set-ntp true) or use an image that "+
		"sets its clock, then run the same create again",
		"its clock is %s, so certificates would not be valid", formatSkew(skew))}
}

// MeasureClockSkew returns how far a clock is ahead. The clock was read, in whole seconds, between from and to; a
// difference that the duration of the reading can explain counts as 0.
func MeasureClockSkew(read, from, to time.Time) time.Duration {
	switch {
	case read.Add(time.Second).Before(from):
		return read.Add(time.Second).Sub(from)
	case read.After(to):
		return read.Sub(to)
	}
	return 0
}

func formatSkew(skew time.Duration) string {
	about := skew.Abs().Round(time.Minute)
	if skew < 0 {
		return fmt.Sprintf("%s behind the clock of skyd's machine", about)
	}
	return fmt.Sprintf("%s ahead of the clock of skyd's machine", about)
}

// neededSpace returns the space that RKE2 and the images of its pods still take on a machine, in bytes. Archives stay
// there when their images have been unpacked, which takes at least as much again; for RKE2's own it is counted already.
// What an earlier attempt has copied is no longer free, and does not count again.
func neededSpace(f Facts, r Requirements) int64 {
	if f.HasRun {
		return 0
	}
	needed, archives := int64(spaceForRKE2), int64(0)
	if isKit(r.Release) {
		needed = spaceForKit
	}
	for _, a := range r.Archives {
		if a.Arch != "" && a.Arch != f.Arch {
			continue
		}
		archives += a.Bytes
		if !a.OfRKE2 {
			needed += a.Bytes
		}
	}
	return max(0, needed-f.CopiedRelease) + max(0, archives-f.CopiedArchives)
}

// findFullDisks reports disks that are too full for a node. On a machine with files of an earlier attempt, which found
// enough space for them, the space that RKE2 may need is no reason to give up: that attempt may have been one of a
// skyctl that asked for less. The kubelet's limit is.
func findFullDisks(f Facts, r Requirements) []Finding {
	var found []Finding
	for _, d := range f.Disks {
		reserve, needed := int64(evictionShare*float64(d.size)), int64(0)
		if d.path == "/var/lib/rancher" {
			needed = neededSpace(f, r)
		}
		if missing := reserve + needed - d.free; missing > 0 {
			find := newProblem
			if d.free >= reserve && f.CopiedRelease > 0 {
				find = newWarning
			}
			found = append(found, find(checkDisk,
				fmt.Sprintf("free another %s, or request a larger --disk_size", formatGiB(missing)),
				"%s of %s are free on the disk of %s; the kubelet evicts pods below %.0f%% (%s), and RKE2 with its "+
					"images needs %s", formatGiB(d.free), formatGiB(d.size), d.path, 100*evictionShare,
				formatGiB(reserve), formatGiB(needed)))
		}
	}
	return found
}

func formatGiB(bytes int64) string { return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30)) }
