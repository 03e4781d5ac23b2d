package workflows

import "go.temporal.io/sdk/workflow"

// taskGroup runs tasks of a workflow side by side and keeps the first error, as errgroup does for goroutines.
type taskGroup struct {
	tasks workflow.WaitGroup
	slots workflow.Semaphore  // nil: any number of tasks run at once
	stop  workflow.CancelFunc // nil: an error does not stop the other tasks
	err   error
}

// newTaskGroup returns a group in which at most limit tasks run at once; 0 means no limit.
func newTaskGroup(ctx workflow.Context, limit int64) *taskGroup {
	g := &taskGroup{tasks: workflow.NewWaitGroup(ctx)}
	if limit > 0 {
		g.slots = workflow.NewSemaphore(ctx, limit)
	}
	return g
}

// newStoppingTaskGroup also returns a context for the tasks, which the first error cancels.
func newStoppingTaskGroup(ctx workflow.Context, limit int64) (*taskGroup, workflow.Context) {
	g := newTaskGroup(ctx, limit)
	ctx, g.stop = workflow.WithCancel(ctx)
	return g, ctx
}

// startTask starts a task. A running task may start another one.
func (g *taskGroup) startTask(ctx workflow.Context, task func(workflow.Context) error) {
	g.tasks.Go(ctx, func(ctx workflow.Context) {
		if err := g.runInSlot(ctx, task); err != nil {
			if g.err == nil {
				g.err = err
			}
			g.cancelTasks()
		}
	})
}

func (g *taskGroup) runInSlot(ctx workflow.Context, task func(workflow.Context) error) error {
	if g.slots != nil {
		if err := g.slots.Acquire(ctx, 1); err != nil {
			return err
		}
		defer g.slots.Release(1)
	}
	return task(ctx)
}

func (g *taskGroup) cancelTasks() {
	if g.stop != nil {
		g.stop()
	}
}

// awaitTasks waits until every task has returned, cancelled or not, and returns the first error. A caller that went on
// earlier would change machines that a task still works on.
func (g *taskGroup) awaitTasks(ctx workflow.Context) error {
	uncancelled, _ := workflow.NewDisconnectedContext(ctx)
	g.tasks.Wait(uncancelled)
	g.cancelTasks()
	return g.err
}
