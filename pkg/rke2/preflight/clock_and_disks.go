// Package preflight checks machines before they become nodes: their clocks, their disks, and the ports on which they
// must reach each other.
package preflight

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
)

const (
	// evictionShare is the share of free disk space below which the kubelet evicts pods; see evictionHard in pkg/rke2.
	evictionShare = 0.05
	// spaceForRKE2 is the disk space for RKE2 and the images of its pods on a new machine.
	spaceForRKE2 = 2 << 30
	// maxClockSkew is the largest accepted difference between a machine's clock and ours. A certificate is valid from
	// the time of the machine that issued it; machines whose clocks are behind reject it until then.
	maxClockSkew = 2 * time.Minute
)

// clockTimeout is how long a machine that has just booted may take to set its clock, clockPollInterval the pause
// between checks. Only tests change them.
var (
	clockTimeout      = 2 * time.Minute
	clockPollInterval = 3 * time.Second
)

// fitnessScript prints the machine's clock, and the size and free space in KiB of the disks of kubelet and containerd,
// as the kubelet measures them. images=1 means that RKE2's images are already there.
const fitnessScript = `
measure_disk() {
  p=$2; while [ ! -d "$p" ]; do p=${p%/*}; [ -n "$p" ] || p=/; done
  df -Pk "$p" | awk -v name="$1" 'NR == 2 {print name "_kib=" $2 " " name "_free_kib=" $4}'
}
images=0; [ ! -d /var/lib/rancher/rke2/agent/containerd ] || images=1
echo "clock=$(date +%s) images=$images" \
  "$(measure_disk kubelet /var/lib/kubelet) $(measure_disk rancher /var/lib/rancher)"
`

// fitness is the state of the clock and the disks of a machine.
type fitness struct {
	clock  time.Time
	images bool
	disks  []disk
}

// disk is a file system whose free space the kubelet monitors, in bytes.
type disk struct {
	path       string
	size, free int64
}

// CheckFitness finds problems that would keep a machine from being a node: a clock that differs too much from ours, and
// a disk so full that the kubelet would evict pods. It first waits for the clock, which a machine may set soon after
// boot. progress may be nil.
func CheckFitness(ctx context.Context, h *remote.Host, now func() time.Time, progress func(string)) error {
	for start := now(); ; {
		asked := now()
		out, err := h.RunScript(ctx, "checking its clock and disks", fitnessScript)
		if err != nil {
			return err
		}
		f, err := parseFitness(h.Name(), string(out))
		if err != nil {
			return err
		}
		skew := measureClockSkew(f.clock, asked, now())
		if skew.Abs() <= maxClockSkew {
			return checkDisks(h.Name(), f)
		}
		if now().Sub(start) >= clockTimeout {
			return &rke2.Error{Kind: rke2.ClockSkew, Machine: h.Name(), Permanent: true, Message: fmt.Sprintf(
				"its clock is %s, so certificates would not be valid; correct the wrong clock "+
					"(timedatectl set-ntp true) or use an image that sets its clock, then run the same create again",
				formatSkew(skew))}
		}
		if progress != nil {
			progress("waiting for its clock to be set: it is " + formatSkew(skew))
		}
		if err := await.Pause(ctx, clockPollInterval); err != nil {
			return fmt.Errorf("machine %s: waiting for its clock to be set: %w", h.Name(), err)
		}
	}
}

// measureClockSkew returns how far a clock is ahead. The clock was read, in whole seconds, between from and to; a
// difference that the duration of the reading can explain counts as 0.
func measureClockSkew(read, from, to time.Time) time.Duration {
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

func parseFitness(machine, line string) (fitness, error) {
	kv := rke2.ParseKeyValues(line)
	seconds, err := strconv.ParseInt(kv["clock"], 10, 64)
	if err != nil {
		return fitness{}, fmt.Errorf("machine %s: failed to read its clock from %q", machine, strings.TrimSpace(line))
	}
	f := fitness{clock: time.Unix(seconds, 0), images: kv["images"] == "1"}
	for _, d := range []struct{ name, path string }{{"kubelet", "/var/lib/kubelet"}, {"rancher", "/var/lib/rancher"}} {
		size, err := strconv.ParseInt(kv[d.name+"_kib"], 10, 64)
		free, freeErr := strconv.ParseInt(kv[d.name+"_free_kib"], 10, 64)
		if err == nil && freeErr == nil && size > 0 { // the kubelet does not monitor one without a size either
			f.disks = append(f.disks, disk{path: d.path, size: size << 10, free: free << 10})
		}
	}
	return f, nil
}

// checkDisks returns an error for the first disk that is too full for a node.
func checkDisks(machine string, f fitness) error {
	for _, d := range f.disks {
		reserve, needed := int64(evictionShare*float64(d.size)), int64(0)
		if !f.images && d.path == "/var/lib/rancher" {
			needed = spaceForRKE2
		}
		if missing := reserve + needed - d.free; missing > 0 {
			return &rke2.Error{Kind: rke2.DiskTooFull, Machine: machine, Permanent: true, Message: fmt.Sprintf(
				"%s of %s are free on the disk of %s; the kubelet evicts pods below %.0f%% (%s), and RKE2 with its "+
					"images needs %s: free another %s, or request a larger --disk_size",
				formatGiB(d.free), formatGiB(d.size), d.path, 100*evictionShare, formatGiB(reserve),
				formatGiB(needed), formatGiB(missing))}
		}
	}
	return nil
}

func formatGiB(bytes int64) string { return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30)) }
