package preflight

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/remote"
)

// The checks, as findings name them.
const (
	checkPlatform     = "Platform"
	checkClock        = "Clock"
	checkDisk         = "Disk"
	checkDistribution = "Distribution"
	checkSize         = "Size"
	checkCgroups      = "Cgroups"
	checkModules      = "KernelModules"
	checkCapabilities = "Capabilities"
	checkSELinux      = "SELinux"
	checkService      = "Services"
	checkFirewall     = "Firewall"
	checkPorts        = "Ports"
	checkDNS          = "DNS"
	checkSource       = "Source"
	checkReach        = "Reach"
	checkInotify      = "Inotify"
	checkMTU          = "MTU"
)

// rules find what is wrong with a machine.
var rules = []func(Facts, Requirements) []Finding{
	findUnsupportedPlatform, findUnsupportedDistribution, findTooSmallSize, findMissingControllers, findMissingModules,
	findMissingCapabilities, findSELinux, findHarmfulServices, findFullDisks, findTakenPorts, findFirewalls,
	findMissingNameServer, findUnresolvedRegistries, findUnreachableSource, findUnreachablePeers, findLowInotifyLimits,
	findSmallPackets,
}

// alwaysProblems are the checks whose problems no node can have. The problems of the others keep most machines from
// being one.
var alwaysProblems = []string{checkPlatform, checkClock, checkDisk, checkPorts}

// FindProblems returns all that is wrong with a machine, problems first; skew is how far its clock is ahead of ours. If
// RKE2 has run on the machine, or on one of its pool, problems other than alwaysProblems did no harm there, and are
// warnings.
func FindProblems(f Facts, r Requirements, skew time.Duration) []Finding {
	found := findWrongClock(skew)
	for _, rule := range rules {
		found = append(found, rule(f, r)...)
	}
	for i := range found {
		if (r.Proven || f.HasRun) && !slices.Contains(alwaysProblems, found[i].Check) {
			found[i].Severity = api.FindingWarning
		}
	}
	slices.SortStableFunc(found, func(a, b Finding) int { return rank(a) - rank(b) })
	return found
}

// rank orders findings by what they mean.
func rank(f Finding) int {
	if f.Severity == api.FindingProblem {
		return 0
	}
	return 1
}

// clockTimeout is how long a machine that has just booted may take to set its clock, clockPollInterval the pause
// between checks. Only tests change them.
var (
	clockTimeout      = 2 * time.Minute
	clockPollInterval = 3 * time.Second
)

// CheckMachine gathers the facts of a machine, and returns them with all that is wrong and that MendMachine does not
// mend. It first waits for the clock, which a machine may set soon after boot, unless the machine has another problem.
// It changes nothing. progress may be nil.
func CheckMachine(ctx context.Context, h *remote.Host, r Requirements, now func() time.Time,
	progress func(string)) (Facts, []Finding, error) {
	for start := now(); ; {
		asked := now()
		f, err := GatherFacts(ctx, h, r)
		if err != nil {
			return Facts{}, nil, err
		}
		skew := MeasureClockSkew(f.Clock, asked, now())
		found := FindProblems(f.assumeMended(r), r, skew)
		if len(findWrongClock(skew)) == 0 || RefuseUnfit("", found[1:]) != nil || now().Sub(start) >= clockTimeout {
			return f, found, nil
		}
		if progress != nil {
			progress("waiting for its clock to be set: it is " + formatSkew(skew))
		}
		if err := await.Pause(ctx, clockPollInterval); err != nil {
			return Facts{}, nil, fmt.Errorf("machine %s: waiting for its clock to be set: %w", h.Name(), err)
		}
	}
}
