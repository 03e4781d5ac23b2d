package nodes

import (
	"context"
	"sync"
	"time"

	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/sshtarget"
	"github.com/sky-shift/skyctl/pkg/store"
)

// componentsInterval is how often the machine of a Node that is not Ready yet is asked for the reason. A Node that is
// Ready earlier costs nothing.
const componentsInterval = 20 * time.Second

// awaitWithComponents runs a wait for a machine's Node, and asks the machine from time to time what keeps it from being
// Ready: an agent's unit is up before its kubelet runs. A kubelet that exits again and again ends the wait; what can
// pass is added to the progress.
func (a *Activities) awaitWithComponents(ctx context.Context, step *machineStep,
	wait func(context.Context) error) error {
	progress := &troubledProgress{report: step.report}
	step.report = progress.reportLine
	return awaitUnlessBroken(ctx, componentsInterval, wait, func(ctx context.Context) error {
		return a.checkComponents(ctx, step, progress)
	})
}

// checkComponents asks the machine once. A machine that does not answer is no failure: others find out whether it is
// lost.
func (a *Activities) checkComponents(ctx context.Context, step *machineStep, progress *troubledProgress) error {
	key, err := a.Store.ReadSecret(ctx, step.machine.Cluster, store.SecretSSHKey)
	if err != nil {
		return nil //nolint:nilerr // the wait goes on
	}
	h, err := a.Pool.GetHost(ctx, sshtarget.Of(step.cluster, step.record), key)
	if err != nil {
		return nil //nolint:nilerr // the wait goes on
	}
	trouble, err := rke2.CheckComponents(ctx, h, step.machine.Role)
	if err == nil {
		progress.setTrouble(trouble)
		return nil
	}
	if !rke2.IsFinal(err) {
		return nil
	}
	return err
}

// awaitUnlessBroken runs a wait, and a check at each interval during it. The first error of a check ends the wait and
// is returned, unless the wait has succeeded.
func awaitUnlessBroken(ctx context.Context, interval time.Duration, wait, check func(context.Context) error) error {
	waitCtx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var broken error
	var checks sync.WaitGroup
	checks.Go(func() {
		for {
			select {
			case <-waitCtx.Done():
				return
			case <-time.After(interval):
			}
			if err := check(waitCtx); err != nil && waitCtx.Err() == nil {
				broken = err
				stop(err)
				return
			}
		}
	})
	err := wait(waitCtx)
	stop(nil)
	checks.Wait()
	if err != nil && broken != nil && ctx.Err() == nil {
		return broken
	}
	return err
}

// troubledProgress adds what is wrong now to each line of progress.
type troubledProgress struct {
	report func(string)

	mu            sync.Mutex
	line, trouble string
}

func (p *troubledProgress) reportLine(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line = line
	p.reportBoth()
}

func (p *troubledProgress) setTrouble(trouble string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trouble != trouble {
		p.trouble = trouble
		p.reportBoth()
	}
}

func (p *troubledProgress) reportBoth() {
	if p.trouble == "" {
		p.report(p.line)
	} else {
		p.report(p.line + "; " + p.trouble)
	}
}
