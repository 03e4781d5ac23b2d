package faults

import (
	"fmt"
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

func (b blow) String() string { return fmt.Sprintf("%s %s", b.moment, b.activity) }

// killer waits for the moments of blows.
type killer struct {
	kill func()

	mu sync.Mutex
	// due are the blows to come, one after the other.
	due    []blow
	struck int
	seen   int
	inside bool
	// dead are the killed workers. What they still said concerns no further blow.
	dead  map[string]bool
	begun map[string]int
}

// arm prepares the next blows: each is due once the one before has struck.
func (k *killer) arm(blows ...blow) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.due, k.struck, k.seen, k.inside = blows, 0, 0, false
}

// hasStruck reports whether the worker was killed as often as prepared.
func (k *killer) hasStruck() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.due) == 0
}

// strikes returns how many of the prepared blows have struck.
func (k *killer) strikes() int {
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
	if len(k.due) == 0 || k.dead[m.Worker] {
		return
	}
	b := k.due[0]
	if m.Activity != b.activity || b.workflow != "" && m.Workflow != b.workflow {
		return
	}
	if k.inside {
		k.strike(m.Worker)
		return
	}
	if b.moment == during && m.When != world.BeforeActivity || b.moment != during && m.When != b.moment {
		return
	}
	if k.seen++; k.seen <= b.nth {
		return
	}
	if b.moment != during {
		k.strike(m.Worker)
		return
	}
	k.inside = true
	if b.late > 0 {
		before := k.struck
		time.AfterFunc(b.late, func() {
			k.mu.Lock()
			defer k.mu.Unlock()
			if k.inside && k.struck == before {
				k.strike(m.Worker)
			}
		})
	}
}

// called is called after the cloud has acted for an activity of a worker.
func (k *killer) called(activity string, worker string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.inside && !k.dead[worker] && k.due[0].activity == activity && k.due[0].late == 0 {
		k.strike(worker)
	}
}

func (k *killer) strike(worker string) {
	if k.dead == nil {
		k.dead = map[string]bool{}
	}
	k.dead[worker] = true
	k.due, k.inside, k.seen = k.due[1:], false, 0
	k.struck++
	k.kill()
}
