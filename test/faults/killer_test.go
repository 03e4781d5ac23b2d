package faults

import (
	"sync"
	"time"

	"github.com/sky-shift/skyctl/test/world"
)

// during is between world.BeforeActivity and world.AfterActivity.
const during = "in"

// moments are the points at which workers are killed.
var moments = []string{world.BeforeActivity, during, world.AfterActivity}

// blow says when the worker is killed.
type blow struct {
	activity string
	// workflow selects a workflow, if it is set.
	workflow string
	moment   string
	// nth counts the activities of that name; 0 is the first.
	nth int
	// late is the time since the activity started; 0 is right after its first call of the cloud succeeded. If the
	// activity ends earlier, the worker is killed at its end.
	late time.Duration
}

// killer waits for the moment of one blow.
type killer struct {
	kill func()

	mu     sync.Mutex
	next   *blow
	seen   int
	inside bool
	struck bool
	begun  map[string]int
}

// arm prepares the next blow.
func (k *killer) arm(b blow) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.next, k.seen, k.inside, k.struck = &b, 0, false, false
}

// hasStruck reports whether the worker was killed.
func (k *killer) hasStruck() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.struck
}

// ran returns how often an activity started.
func (k *killer) ran(activity string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.begun[activity]
}

func (k *killer) reached(m world.ActivityMoment) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if m.When == world.BeforeActivity {
		if k.begun == nil {
			k.begun = map[string]int{}
		}
		k.begun[m.Activity]++
	}
	b := k.next
	if b == nil || m.Activity != b.activity || b.workflow != "" && m.Workflow != b.workflow {
		return
	}
	if k.inside {
		k.strike()
		return
	}
	if b.moment == during && m.When != world.BeforeActivity || b.moment != during && m.When != b.moment {
		return
	}
	if k.seen++; k.seen <= b.nth {
		return
	}
	if b.moment != during {
		k.strike()
		return
	}
	k.inside = true
	if b.late > 0 {
		time.AfterFunc(b.late, func() {
			k.mu.Lock()
			defer k.mu.Unlock()
			if k.next == b {
				k.strike()
			}
		})
	}
}

// called is called after the cloud has acted for an activity.
func (k *killer) called(activity string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.inside && k.next.activity == activity && k.next.late == 0 {
		k.strike()
	}
}

func (k *killer) strike() {
	k.next, k.inside, k.struck = nil, false, true
	k.kill()
}
