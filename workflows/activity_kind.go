package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// activityKind says how long an activity may take. Tries are bounded by time, not by count, because a worker that shuts
// down uses one up. The clock also runs while no worker does, as on a laptop that sleeps; so what terminates machines
// has a day.
type activityKind struct {
	attempt   time.Duration // one try
	heartbeat time.Duration // silence after which another worker gets the activity; 0: no heartbeat
	total     time.Duration // all tries
	attempts  int32         // 0: bounded by total only
}

// heartbeatTimeout is long enough for a worker with hundreds of activities, which sends the heartbeats of each only
// three times within it. The activities of a killed worker wait for it, unless that was the only worker: then the next
// one releases them when it starts.
const heartbeatTimeout = time.Minute

// The kinds of activities.
var (
	etcdWrite = activityKind{attempt: 15 * time.Second, total: 10 * time.Minute}
	// outcomeWrite writes how an operation ended and reads what is wanted next. If it gave up, nobody would manage the
	// machines.
	outcomeWrite = activityKind{attempt: 15 * time.Second, total: 24 * time.Hour}
	// slowRead reads what is large or slow to answer: the files of a release, a whole cluster through its API.
	slowRead = activityKind{attempt: 5 * time.Minute, heartbeat: heartbeatTimeout, total: 15 * time.Minute}
	// cloudQuery queries a cloud; a person may wait for the answer.
	cloudQuery = activityKind{attempt: 2 * time.Minute, heartbeat: heartbeatTimeout, total: 6 * time.Minute}
	// launch requests a machine or waits for it; the cloud may have to build the image first.
	launch = activityKind{attempt: 20 * time.Minute, heartbeat: heartbeatTimeout, total: 30 * time.Minute}
	// step changes one machine. Its own deadlines, whose errors say what it waited for, are shorter than these: a
	// worker that joins may wait for its machine to answer, then for the head's API, and then for its agent.
	step = activityKind{attempt: 40 * time.Minute, heartbeat: heartbeatTimeout, total: 55 * time.Minute}
	// cleanup terminates machines. It retries for a long time, because a remaining machine costs money.
	cleanup = activityKind{attempt: 5 * time.Minute, heartbeat: heartbeatTimeout, total: 24 * time.Hour}
	// purge terminates machines only if that is quick.
	purge = activityKind{attempt: 30 * time.Second, heartbeat: heartbeatTimeout, total: 24 * time.Hour, attempts: 2}
	// snapshotRead reads a whole snapshot where it is kept.
	snapshotRead = activityKind{attempt: 20 * time.Minute, heartbeat: heartbeatTimeout, total: 30 * time.Minute}
	// lostCheck checks twice, with a pause, whether a machine is gone.
	lostCheck = activityKind{attempt: 4 * time.Minute, heartbeat: heartbeatTimeout, total: 5 * time.Minute}
	// uncordon makes a Node schedulable again. A delete of the cluster may wait for it.
	uncordon = activityKind{attempt: 30 * time.Second, total: 2 * time.Minute}
	// quickRead reads from a machine that may be gone.
	quickRead = activityKind{attempt: 15 * time.Second, total: 20 * time.Second}
)

// startActivity starts an activity. The Web UI shows the summary.
func (k activityKind) startActivity(ctx workflow.Context, summary string, activity any, args ...any) workflow.Future {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout:    k.attempt,
		HeartbeatTimeout:       k.heartbeat,
		ScheduleToCloseTimeout: k.total,
		WaitForCancellation:    true,
		Summary:                summary,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: 20 * time.Second,
			MaximumAttempts: k.attempts,
		},
	})
	return workflow.ExecuteActivity(ctx, activity, args...)
}

// runActivity waits for an activity that returns only an error.
func (k activityKind) runActivity(ctx workflow.Context, summary string, activity any, args ...any) error {
	return k.startActivity(ctx, summary, activity, args...).Get(ctx, nil)
}

// runForResult waits for an activity and stores its result in the variable that result points to.
func (k activityKind) runForResult(ctx workflow.Context, summary string, result, activity any, args ...any) error {
	return k.startActivity(ctx, summary, activity, args...).Get(ctx, result)
}
