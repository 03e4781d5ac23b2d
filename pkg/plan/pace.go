package plan

import (
	"fmt"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// paced asks for an action on a machine unless it was done there not long ago. With a limit, an action that was done in vain
// so often within the window sends the cluster to ERROR.
func (d *deciding) paced(m *api.Machine, reason api.DriftReason, kind api.ActionKind, message, next string, limit int) {
	if limit > 0 && d.spent(kind, m.Index, limit) {
		d.report(m.Name, reason, message, "the cluster goes to ERROR")
		d.giveUp(m, reason, fmt.Sprintf("%s: %s, and what was done about it does not last. The cluster's machines were left alone. "+
			"Look into it, then run skyctl reconcile %s%s", m.Name, message, d.c.Metadata.Name, d.history(kind, m.Index)))
		return
	}
	if wait, at := d.pace(kind, m.Index); wait {
		d.report(m.Name, reason, message, next+" at "+clock(at))
		return
	}
	d.report(m.Name, reason, message, next)
	d.actions = append(d.actions, api.Action{
		Kind: kind, Index: m.Index, Machine: m.Name, Incarnation: m.Incarnation, Reason: reason, Message: message,
	})
}

// past are the repairs of a kind on a place within the window, oldest first.
func (d *deciding) past(kind api.ActionKind, index int) []api.Repair {
	var found []api.Repair
	for _, r := range d.c.Status.Repairs {
		if r.Action.Kind == kind && r.Action.Index == index && r.At.After(d.w.At.Add(-d.p.Window)) {
			found = append(found, r)
		}
	}
	return found
}

// lastOn is the last repair of a kind on this very machine; nil where there was none.
func (d *deciding) lastOn(kind api.ActionKind, m *api.Machine) *api.Repair {
	var last *api.Repair
	for _, r := range d.past(kind, m.Index) {
		if r.Action.Incarnation == m.Incarnation {
			last = &r
		}
	}
	return last
}

// ended is when a repair was over; one that nobody saw end counts from its beginning.
func ended(r api.Repair) time.Time {
	if r.Ended.IsZero() {
		return r.At
	}
	return r.Ended
}

// vain says that a repair failed, or that nobody lived to say how it ended.
func vain(r api.Repair) bool { return r.Error != "" || r.Ended.IsZero() }

// pace says whether a repair has to wait, and until when. The pause after one that failed doubles with each failure in a row.
func (d *deciding) pace(kind api.ActionKind, index int) (wait bool, until time.Time) {
	past := d.past(kind, index)
	if len(past) == 0 {
		return false, time.Time{}
	}
	pause := d.p.Backoff
	for i := len(past) - 2; i >= 0 && vain(past[i]) && pause < d.p.Window; i-- {
		pause *= 2
	}
	until = ended(past[len(past)-1]).Add(pause)
	return d.w.At.Before(until), until
}

// lasting is how many repairs that went well count as much as one that failed: what is needed again and again does not help,
// though machines that a cloud takes back (spot) are no reason to give up.
const lasting = 3

// spent says that a kind of repair was done on a place as often as its limit allows.
func (d *deciding) spent(kind api.ActionKind, index, limit int) bool {
	sum := 0
	for _, r := range d.past(kind, index) {
		if vain(r) {
			sum += lasting
		} else {
			sum++
		}
	}
	return sum >= lasting*limit
}

// history lists what was tried, for a person.
func (d *deciding) history(kind api.ActionKind, index int) string {
	var s strings.Builder
	for _, r := range d.past(kind, index) {
		outcome := "done"
		if r.Error != "" {
			outcome = r.Error
		} else if r.Ended.IsZero() {
			outcome = "was interrupted"
		}
		fmt.Fprintf(&s, "; %s at %s: %s", r.Action.Kind, clock(r.At), outcome)
	}
	return s.String()
}

// giveUp sends the cluster to ERROR, with what a person has to know.
func (d *deciding) giveUp(m *api.Machine, reason api.DriftReason, message string) {
	if d.fail == nil {
		d.fail = &api.Failure{Step: "repair", Machine: m.Name, Reason: string(reason), Message: message}
	}
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05Z") }
