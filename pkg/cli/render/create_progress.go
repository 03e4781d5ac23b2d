package render

import (
	"fmt"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// machineProgress is how far a machine of a create is, in percent of its way to Ready.
var machineProgress = map[api.MachineState]int{
	api.MachineReserved: 0, api.MachineLaunching: 10, api.MachineUp: 40, api.MachinePrepared: 70, api.MachineReady: 100,
}

// maxCreatePercent is what a create shows whose machines are all Ready: the cluster is not READY yet.
const maxCreatePercent = 95

// CreatePercent is how far a create is, from the states of its machines. It is false for a cluster that is not being
// created.
func CreatePercent(c *api.Cluster) (int, bool) {
	if c == nil || c.Status.Phase != api.PhaseInit && c.Status.Phase != api.PhaseProvisioning ||
		c.Status.Restore != nil {
		return 0, false
	}
	sum := 0
	for _, m := range ExistingMachines(c) {
		sum += machineProgress[m.State]
	}
	return min(sum/max(c.Spec.MachineCount(), 1), maxCreatePercent), true
}

// FormatEstimate says how long a create takes; empty if nothing is known.
func FormatEstimate(e api.CreateEstimate) string {
	if e.From == 0 {
		return ""
	}
	return fmt.Sprintf("about %s, from %s on this cloud", FormatDuration(e.Takes),
		FormatCount(e.From, "earlier create"))
}

// FormatTimeLeft says how long a create goes on that began took ago; empty if nothing is known.
func FormatTimeLeft(e api.CreateEstimate, took time.Duration) string {
	switch {
	case e.From == 0:
		return ""
	case took >= e.Takes:
		return fmt.Sprintf("longer than the %s of %s", FormatDuration(e.Takes), FormatCount(e.From, "earlier create"))
	}
	return fmt.Sprintf("about %s left, from %s", FormatDuration(e.Takes-took), FormatCount(e.From, "earlier create"))
}

// CreateNotes say in a row how far a create that runs is, and how long it still takes if that is known. There are none
// for a cluster that is not being created.
func CreateNotes(c *api.Cluster, e api.CreateEstimate, now time.Time) []string {
	percent, creating := CreatePercent(c)
	if !creating {
		return nil
	}
	notes := []string{fmt.Sprintf("%d%%", percent)}
	if left := e.Takes - now.Sub(c.Status.FindCreateStart()); e.From > 0 && left > 0 {
		notes = append(notes, "about "+formatAge(left)+" left")
	}
	return notes
}

// AwaitedAddOnsLine says which add-ons a create waits for, or which of them a READY cluster lacks; empty if none.
func AwaitedAddOnsLine(c *api.Cluster) string {
	if c == nil {
		return ""
	}
	known := c.Status.FindCondition(api.AddOnsReady)
	switch {
	case known == nil || known.Status == api.ConditionTrue:
		return ""
	case c.Status.Phase == api.PhaseProvisioning && known.Status == api.ConditionFalse:
		return "waiting some minutes until pods can run: " + known.Message
	case c.Status.Phase == api.PhaseReady:
		return fmt.Sprintf("%s=%s: pods may not run as usual yet: %s", known.Type, known.Status, known.Message)
	}
	return ""
}
