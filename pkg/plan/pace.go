package plan

import (
	"fmt"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

// on is an action on a machine in its place.
func on(m *api.Machine, kind api.ActionKind, reason api.DriftReason, message string) api.Action {
	return api.Action{Kind: kind, Index: m.Index, Machine: m.Name, Incarnation: m.Incarnation, Reason: reason, Message: message}
}

// ask reports a drift, and asks for an action about it unless that was done not long ago.
func (d *deciding) ask(a api.Action, next string) {
	if at := d.notBefore(a); d.w.At.Before(at) {
		d.report(a.Machine, a.Reason, a.Message, next+" at "+clock(at)+", for it was done not long ago")
		return
	}
	d.report(a.Machine, a.Reason, a.Message, next)
	if m := d.places[a.Index]; onPlace(a) && m != nil {
		a.ID = d.idOf(m)
	}
	d.actions = append(d.actions, a)
}

// askWithin asks as ask does; an action that was done in vain as often as the limit says sends the cluster to ERROR.
func (d *deciding) askWithin(a api.Action, next string, limit int) {
	if !d.spent(a, limit) {
		d.ask(a, next)
		return
	}
	d.report(a.Machine, a.Reason, a.Message, "the cluster goes to ERROR; its machines are left alone")
	d.giveUp(d.places[a.Index], a.Reason, fmt.Sprintf("%s: %s, and what was done about it does not last. The cluster's machines were left alone. "+
		"Look into it, then run skyctl reconcile %s", a.Machine, a.Message, d.c.Metadata.Name))
}

// past are the repairs of a kind on the same thing within the window, oldest first. A record from the future was made by
// nobody, and would hold up repairs until then.
func (d *deciding) past(a api.Action) []api.Repair {
	var found []api.Repair
	for _, r := range d.c.Status.Repairs {
		if r.Action.Target() == a.Target() && d.recent(r) {
			found = append(found, r)
		}
	}
	return found
}

func (d *deciding) recent(r api.Repair) bool {
	return r.At.After(d.w.At.Add(-d.p.Window)) && !r.At.After(d.w.At.Add(d.p.Backoff))
}

// lastOn is the last such repair on this very machine; nil where there was none.
func (d *deciding) lastOn(a api.Action) *api.Repair {
	var last *api.Repair
	for _, r := range d.past(a) {
		if r.Action.Incarnation == a.Incarnation {
			last = &r
		}
	}
	return last
}

// ended is when a repair was over; one that nobody saw end counts from its beginning.
func ended(r api.Repair) time.Time {
	if r.Ended.Before(r.At) {
		return r.At
	}
	return r.Ended
}

// vain says that a repair failed, or that nobody lived to say how it ended.
func vain(r api.Repair) bool { return r.Error != "" || r.Ended.IsZero() }

// notBefore is when a repair may be done again. The pause after one that failed doubles with each failure in a row.
func (d *deciding) notBefore(a api.Action) time.Time {
	past := d.past(a)
	if len(past) == 0 {
		return time.Time{}
	}
	pause := d.p.Backoff
	for i := len(past) - 2; i >= 0 && vain(past[i]) && pause < d.p.Window; i-- {
		pause *= 2
	}
	return ended(past[len(past)-1]).Add(pause)
}

// lasting is how many repairs that went well count as much as one that failed: what is needed again and again does not help,
// though machines that a cloud takes back (spot) are no reason to give up.
const lasting = 3

// spent says that a repair was done as often as its limit allows.
func (d *deciding) spent(a api.Action, limit int) bool {
	sum := 0
	for _, r := range d.past(a) {
		if sum++; vain(r) {
			sum += lasting - 1
		}
	}
	return sum >= lasting*limit
}

// giveUp sends the cluster to ERROR, with what a person has to know: what can be done, and what was tried.
func (d *deciding) giveUp(m *api.Machine, reason api.DriftReason, message string) {
	if d.fail == nil {
		d.fail = &api.Failure{Step: "repair", Machine: m.Name, Reason: string(reason), Message: message + d.history(m.Index), At: d.w.At}
	}
}

// A history shows no more tries than historyAtMost, and no more characters of an error than errorAtMost.
const (
	historyAtMost = 10
	errorAtMost   = 200
)

// history lists what was tried in a place, for a person.
func (d *deciding) history(index int) string {
	var tried []string
	for _, r := range d.c.Status.Repairs {
		if onPlace(r.Action) && r.Action.Index == index && d.recent(r) {
			tried = append(tried, fmt.Sprintf("%s at %s: %s", r.Action.Kind, clock(r.At), outcome(r)))
		}
	}
	if len(tried) == 0 {
		return ""
	}
	return ". What was tried: " + strings.Join(tried[max(0, len(tried)-historyAtMost):], "; ")
}

func outcome(r api.Repair) string {
	switch {
	case r.Error != "":
		first, _, _ := strings.Cut(r.Error, "\n")
		return strings.ToValidUTF8(first[:min(len(first), errorAtMost)], "")
	case r.Ended.IsZero():
		return "was interrupted"
	}
	return "done"
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05Z") }
