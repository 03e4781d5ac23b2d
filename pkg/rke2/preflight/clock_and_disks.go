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
	// evictionShare is the share of a disk below which the kubelet evicts pods and takes no new ones; see evictionHard.
	evictionShare = 0.05
	// roomForRKE2 is what RKE2 and the images of its own pods take on a machine that has none of them yet.
	roomForRKE2 = 2 << 30
	// maxClockSkew is how far a machine's clock may be from ours. A certificate counts from the moment at which it was
	// made, by the clock of the machine that made it: others refuse it for as long as they are behind that.
	maxClockSkew = 2 * time.Minute
)

// clockPatience is how long a machine that has just booted may take to set its clock, clockPollInterval how often it is
// asked. Only tests change them.
var (
	clockPatience     = 2 * time.Minute
	clockPollInterval = 3 * time.Second
)

// fitnessScript prints the machine's clock, and size and free space in KiB of the disks on which the kubelet and
// containerd keep their data, as the kubelet itself measures them. images=1 says that RKE2's images are there
// already.
const fitnessScript = `
room() {
  p=$2; while [ ! -d "$p" ]; do p=${p%/*}; [ -n "$p" ] || p=/; done
  df -Pk "$p" | awk -v name="$1" 'NR == 2 {print name "_kib=" $2 " " name "_free_kib=" $4}'
}
images=0; [ ! -d /var/lib/rancher/rke2/agent/containerd ] || images=1
echo "clock=$(date +%s) images=$images $(room kubelet /var/lib/kubelet) $(room rancher /var/lib/rancher)"
`

// fitness is what a machine says of its clock and its disks.
type fitness struct {
	clock  time.Time
	images bool
	disks  []disk
}

// disk is a file system on which the kubelet watches over free space, in bytes.
type disk struct {
	path       string
	size, free int64
}

// CheckFitness finds what would keep a machine from being a node for long: a clock that is far from ours, which is
// waited for, since a machine may set it soon after it has booted; and a disk so full that the kubelet would evict
// pods from it. progress may be nil.
func CheckFitness(ctx context.Context, h *remote.Host, now func() time.Time, progress func(string)) error {
	for begun := now(); ; {
		asked := now()
		out, err := h.RunScript(ctx, "looking at its clock and disks", fitnessScript)
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
		if now().Sub(begun) >= clockPatience {
			return &rke2.Error{Kind: rke2.ClockSkew, Machine: h.Name(), Permanent: true, Message: fmt.Sprintf(
				"its clock is %s, and certificates would count from another time there; set the one that is wrong "+
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

// measureClockSkew is by how much a clock is ahead that was read to the second between two moments of ours; what may be
// due to the time that the reading took is no skew.
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
		return fmt.Sprintf("%s behind that of skyd's machine", about)
	}
	return fmt.Sprintf("%s ahead of that of skyd's machine", about)
}

func parseFitness(machine, line string) (fitness, error) {
	kv := rke2.ParseKeyValues(line)
	seconds, err := strconv.ParseInt(kv["clock"], 10, 64)
	if err != nil {
		return fitness{}, fmt.Errorf("machine %s: its clock can't be read from %q", machine, strings.TrimSpace(line))
	}
	f := fitness{clock: time.Unix(seconds, 0), images: kv["images"] == "1"}
	for _, d := range []struct{ name, path string }{{"kubelet", "/var/lib/kubelet"}, {"rancher", "/var/lib/rancher"}} {
		size, err := strconv.ParseInt(kv[d.name+"_kib"], 10, 64)
		free, freeErr := strconv.ParseInt(kv[d.name+"_free_kib"], 10, 64)
		if err == nil && freeErr == nil && size > 0 { // a file system that does not tell its size is not watched either
			f.disks = append(f.disks, disk{path: d.path, size: size << 10, free: free << 10})
		}
	}
	return f, nil
}

// checkDisks says which disk is too full for a node; nil where none is.
func checkDisks(machine string, f fitness) error {
	for _, d := range f.disks {
		reserve, takes := int64(evictionShare*float64(d.size)), int64(0)
		if !f.images && d.path == "/var/lib/rancher" {
			takes = roomForRKE2
		}
		if missing := reserve + takes - d.free; missing > 0 {
			return &rke2.Error{Kind: rke2.DiskTooFull, Machine: machine, Permanent: true, Message: fmt.Sprintf(
				"%s of %s are free on the disk of %s; the kubelet evicts pods while less than %.0f%% (%s) are, and "+
					"RKE2 with its images takes %s: "+
					"make room for %s more, or ask for a larger --disk_size",
				formatGiB(d.free), formatGiB(d.size), d.path, 100*evictionShare, formatGiB(reserve), formatGiB(
					takes), formatGiB(missing))}
		}
	}
	return nil
}

func formatGiB(bytes int64) string { return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30)) }
