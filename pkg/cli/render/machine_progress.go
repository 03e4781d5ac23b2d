package render

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/printable"
)

// maxMachineLines is the most lines. If there are more machines, those at the same step share a line.
const maxMachineLines = 12

// ExistingMachines are the machines that are not gone, by index.
func ExistingMachines(c *api.Cluster) []api.Machine {
	if c == nil {
		return nil
	}
	var all []api.Machine
	for _, m := range c.Status.Machines {
		if m.State != api.MachineGone {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b api.Machine) int { return cmp.Compare(a.Index, b.Index) })
	return all
}

// ProgressHeadline shows the progress of a cluster in one line.
func ProgressHeadline(c *api.Cluster, title string, took time.Duration) string {
	if c == nil {
		return title
	}
	s := fmt.Sprintf("%s %s: ", title, c.Metadata.Name)
	switch c.Status.Phase {
	case api.PhaseDeleting:
		s += fmt.Sprintf("%s left", FormatCount(len(ExistingMachines(c)), "machine"))
	default:
		wanted := c.Spec.MachineCount()
		s += fmt.Sprintf("%d of %s ready", min(countReady(c), wanted), FormatCount(wanted, "machine"))
		if leaving := countLeaving(c); leaving > 0 {
			s += fmt.Sprintf(", %d leaving", leaving)
		}
	}
	if percent, ok := CreatePercent(c); ok {
		s += fmt.Sprintf(", %d %%", percent)
	}
	return s + ", " + FormatDuration(took)
}

// countReady counts the machines that are Ready and stay.
func countReady(c *api.Cluster) int {
	n := 0
	for _, m := range c.Status.Machines {
		if m.State == api.MachineReady && m.Leaving == "" {
			n++
		}
	}
	return n
}

// countLeaving counts the machines that leave the cluster.
func countLeaving(c *api.Cluster) int {
	n := 0
	for _, m := range ExistingMachines(c) {
		if m.Leaving != "" {
			n++
		}
	}
	return n
}

// ProgressLines show the machines of a cluster: one line each or, if there are many, one line for those at the same
// step.
func ProgressLines(c *api.Cluster, now time.Time) []string {
	machines := ExistingMachines(c)
	if len(machines) > maxMachineLines {
		return append(groupedMachineLines(machines, now), blockedLines(c)...)
	}
	var rows [][]string
	for _, m := range machines {
		rows = append(rows, []string{m.Name, string(m.Role), formatMachineState(m), m.Step, formatTimeInStep(now, m)})
	}
	return append(AlignColumns(rows), blockedLines(c)...)
}

// blockedLines say what blocks a create that has no machines yet, or a delete, and what to do.
func blockedLines(c *api.Cluster) []string {
	hint := purgeHint(c)
	if len(hint) == 0 {
		lines := append(blockedCreateLines(c), blockedChangeLines(c)...)
		if awaited := AwaitedAddOnsLine(c); awaited != "" && c.Status.Phase == api.PhaseProvisioning {
			lines = append(lines, printable.Line(awaited))
		}
		return lines
	}
	var lines []string
	if f := c.Status.Failure; f != nil && f.Step == api.StepRelease {
		lines = append(lines, fmt.Sprintf("%s failed and is retried: %s", f.Step, printable.Line(f.Message)))
	}
	return append(lines, "Retries continue for a day. "+strings.Join(hint, ""))
}

// purgeHint is the command for a delete that its cloud blocks; nil if it is not blocked.
func purgeHint(c *api.Cluster) []string {
	if c == nil || c.Status.Phase != api.PhaseDeleting {
		return nil
	}
	troubled := func(m api.Machine) bool { return m.State == api.MachineTerminating && m.Trouble != "" }
	if f := c.Status.Failure; (f == nil || f.Step != api.StepRelease) &&
		!slices.ContainsFunc(c.Status.Machines, troubled) {
		return nil
	}
	return []string{"If the cloud is permanently unreachable: skyctl delete cluster " + c.Metadata.Name + " --purge"}
}

// blockedCreateLines say what blocks a create before it launches machines; nil if nothing does.
func blockedCreateLines(c *api.Cluster) []string {
	if c == nil || c.Status.Phase != api.PhaseInit && c.Status.Phase != api.PhaseProvisioning {
		return nil
	}
	begun := c.Status.FindCondition(api.CreateBegun)
	if begun == nil || begun.Status != api.ConditionFalse {
		return nil
	}
	return []string{printable.Line(begun.Message) + " (retried within 20s)"}
}

// maxBlockedPools bounds the lines about pools without a placement, and those about drift.
const maxBlockedPools = 3

// blockedChangeLines say what a change waits for: a pause, pools that get no machine, drift that comes first.
func blockedChangeLines(c *api.Cluster) []string {
	if c == nil || c.Status.ObservedGeneration >= c.Metadata.Generation && !isReplacementAsked(c) ||
		c.Status.Phase != api.PhaseReady && c.Status.Phase != api.PhaseError {
		return nil
	}
	if !c.Status.PausedAt.IsZero() {
		return []string{"Repairs are paused, so nothing more is changed. To resume: skyctl resume reconcile " +
			c.Metadata.Name}
	}
	var pools, drift []string
	for _, s := range c.Status.Pools {
		p := c.Spec.FindPool(s.Name)
		if p == nil || len(s.Attempts) == 0 || countPoolReady(c, s.Name) >= p.Replicas {
			continue
		}
		last := s.Attempts[len(s.Attempts)-1]
		pools = append(pools, printable.Line(fmt.Sprintf("No machine for pool %s from %s: %s: %s", s.Name,
			FormatPlacement(last.Placement), last.Reason, last.Message)))
	}
	for _, d := range c.Status.Drift {
		if d.Next != "" && d.Reason != api.DriftNodeCordoned {
			drift = append(drift, printable.Line(fmt.Sprintf("%s (next: %s)", d, d.Next)))
		}
	}
	return append(pools[:min(len(pools), maxBlockedPools)], drift[:min(len(drift), maxBlockedPools)]...)
}

func countPoolReady(c *api.Cluster, pool string) int {
	n := 0
	for _, m := range MachinesOfPool(c, pool) {
		if m.State == api.MachineReady && m.Leaving == "" {
			n++
		}
	}
	return n
}

func isReplacementAsked(c *api.Cluster) bool {
	return slices.ContainsFunc(c.Status.Machines, func(m api.Machine) bool { return m.ReplaceAsked })
}

func formatTimeInStep(now time.Time, m api.Machine) string {
	if m.Since.IsZero() || m.State == api.MachineReady && m.Leaving == "" {
		return ""
	}
	return FormatDuration(now.Sub(m.Since))
}

// groupedMachineLines group machines by role, state and step, in the order of the states.
func groupedMachineLines(machines []api.Machine, now time.Time) []string {
	type group struct {
		role  api.Role
		state api.MachineState
		step  string
	}
	count := map[group]int{}
	oldest := map[group]api.Machine{}
	var order []group
	for _, m := range machines {
		g := group{m.Role, m.State, m.Step}
		if count[g]++; count[g] == 1 {
			order = append(order, g)
		}
		if o, ok := oldest[g]; !ok || m.Since.Before(o.Since) {
			oldest[g] = m
		}
	}
	slices.SortStableFunc(order, func(a, b group) int {
		return cmp.Or(cmp.Compare(a.role, b.role), cmp.Compare(machineStateOrder(b.state), machineStateOrder(a.state)),
			cmp.Compare(a.step, b.step))
	})
	var rows [][]string
	for _, g := range order {
		name := string(g.role)
		if count[g] > 1 {
			name += "s"
		}
		longest := formatTimeInStep(now, oldest[g])
		if longest != "" && count[g] > 1 {
			longest = "up to " + longest
		}
		rows = append(rows, []string{fmt.Sprintf("%d %s", count[g], name), string(g.state), g.step, longest})
	}
	if len(rows) > maxMachineLines {
		rest := 0
		for _, g := range order[maxMachineLines-1:] {
			rest += count[g]
		}
		rows = append(rows[:maxMachineLines-1], []string{fmt.Sprintf("%d more", rest)})
	}
	return AlignColumns(rows)
}

func machineStateOrder(s api.MachineState) int {
	return slices.Index([]api.MachineState{
		api.MachineReserved, api.MachineLaunching, api.MachineUp, api.MachinePrepared, api.MachineReady,
		api.MachineTerminating,
	}, s)
}

// ChangeLines are the changes of a cluster for a log, one line each. Machines with the same change share a line.
func ChangeLines(before, after *api.Cluster) []string {
	if after == nil {
		return nil
	}
	var lines []string
	old := map[int]api.Machine{}
	if before != nil {
		for _, m := range before.Status.Machines {
			old[m.Index] = m
		}
	}
	if before != nil && before.Status.Phase != after.Status.Phase {
		lines = append(lines, fmt.Sprintf("%s is %s", after.Metadata.Name, after.Status.Phase))
	}
	for _, a := range attemptsSince(before, after) {
		lines = append(lines, fmt.Sprintf("no machines from %s: %s: %s", FormatPlacement(a.Placement),
			a.Reason, printable.Line(a.Message)))
	}
	var changed []api.Machine
	for _, m := range after.Status.Machines {
		if o, ok := old[m.Index]; !ok || o.State != m.State || o.Step != m.Step || o.Incarnation != m.Incarnation ||
			formatMachineState(o) != formatMachineState(m) {
			changed = append(changed, m)
		}
	}
	slices.SortFunc(changed, func(a, b api.Machine) int { return cmp.Compare(a.Index, b.Index) })
	lines = append(lines, changedMachineLines(changed)...)
	if blocked := blockedLines(after); !slices.Equal(blocked, blockedLines(before)) {
		lines = append(lines, blocked...)
	}
	return lines
}

func attemptsSince(before, after *api.Cluster) []api.FailedPlacement {
	seen := 0
	if before != nil {
		seen = len(before.Status.Attempts)
	}
	return after.Status.Attempts[min(seen, len(after.Status.Attempts)):]
}

func changedMachineLines(machines []api.Machine) []string {
	at := map[string][]string{}
	var order []string
	for _, m := range machines {
		what := formatMachineState(m)
		if m.Step != "" {
			what += ": " + printable.Line(m.Step)
		}
		if at[what] == nil {
			order = append(order, what)
		}
		at[what] = append(at[what], m.Name)
	}
	var lines []string
	for _, what := range order {
		who := strings.Join(at[what], ", ")
		if n := len(at[what]); n > 3 {
			who = fmt.Sprintf("%s … %s (%d machines)", at[what][0], at[what][n-1], n)
		}
		lines = append(lines, who+" "+what)
	}
	return lines
}
