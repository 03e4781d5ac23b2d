package stack

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/gpu"
)

// How long a trouble has to stand before it is taken for a failure: much of what goes wrong while a stack comes up
// passes, above all when the toolkit restarts RKE2 on a node. What has come up and offers nothing gets longer, since
// the operator finds out about nodes in its own time.
const (
	chartPatience   = 2 * time.Minute
	podPatience     = 3 * time.Minute
	nodePatience    = 5 * time.Minute
	settledPatience = 10 * time.Minute
)

// forgetAfter is how long a trouble has to be out of sight to be over.
const forgetAfter = 30 * time.Second

// readinessPollInterval is how often a stack is looked at.
const readinessPollInterval = 3 * time.Second

// explainTimeout is for reading logs when the time for waiting is over.
const explainTimeout = 20 * time.Second

// WaitOptions is a wait for a stack to be ready.
type WaitOptions struct {
	// Kind is one of the GPUStack constants of package api.
	Kind string
	// Expected is how many accelerators each node should offer, by the node's name.
	Expected map[string]int
	// Progress, which may be nil, hears how far it is, in words, whenever that changes.
	Progress func(string)

	// poll and patience are set by tests.
	poll     time.Duration
	patience func(reason string) time.Duration
}

// AwaitReady waits until the stack is ready on every node, or has failed for good, or ctx ends. A failure is a
// *Failure with the log of what failed. The status is the last one seen. Errors of the API server are sat out: the
// toolkit restarts RKE2 on each node, and on the head the API server with it.
func AwaitReady(ctx context.Context, c *Client, w WaitOptions) (Status, error) {
	if w.poll == 0 {
		w.poll = readinessPollInterval
	}
	if w.patience == nil {
		w.patience = patienceFor
	}
	a := stackWait{wait: w}
	var failure *gpu.Failure
	err := await.Condition(ctx, w.poll, func() (ready bool, err error) {
		if a.observeStack(ctx, c) != nil {
			return false, nil
		}
		if a.status.IsReady() && a.gone == "" {
			return true, nil
		}
		if ctx.Err() == nil && a.trouble != nil && time.Since(a.since) >= w.patience(a.trouble.Kind) {
			failure = withExplanation(ctx, c, a.trouble)
			return false, failure
		}
		return false, nil
	})
	if err != nil && failure == nil {
		err = a.timeoutError(ctx, c)
	}
	return a.status, err
}

func patienceFor(reason string) time.Duration {
	switch reason {
	case gpu.SecondDevicePlugin:
		return 0
	case gpu.ChartFailed, gpu.ChartUnreachable, gpu.BadChartVersion:
		return chartPatience
	case gpu.AllocatableMissing:
		return settledPatience
	case gpu.NodeNotReady:
		return nodePatience
	}
	return podPatience
}

// stackWait is the state of a wait.
type stackWait struct {
	wait   WaitOptions
	status Status
	said   string
	// gone is what was deleted of a stack whose rest looks well, and has not come back yet.
	gone string
	// trouble stands since then, and was last seen at seen.
	trouble     *gpu.Failure
	since, seen time.Time
	// unanswered is why the API server could not be asked the last time.
	unanswered error
}

func (a *stackWait) observeStack(ctx context.Context, c *Client) error {
	st, err := ReadStatus(ctx, c, a.wait.Kind, a.wait.Expected)
	var gone []string
	if err == nil && st.IsReady() && a.wait.Kind != api.GPUStackNone {
		gone, err = findMissingParts(ctx, c, a.wait.Kind)
	}
	if err != nil {
		if ctx.Err() == nil {
			a.unanswered = err
			a.reportProgress("the API server can't be asked: " + err.Error())
		}
		return err
	}
	a.status, a.gone, a.unanswered = st, strings.Join(gone, ", "), nil
	now := st.Trouble
	if now == nil {
		now = st.down
	}
	if now == nil && st.isSettled() {
		if short := st.nodesMissingGPUs(); len(short) > 0 {
			now = &gpu.Failure{Kind: gpu.AllocatableMissing, Node: short[0].Node,
				Message: "the GPU stack says that it is ready, yet " + st.describeShortage(short) +
					" GPUs; look with kubectl describe node, and at the device plugin's log there"}
		}
	}
	a.trackTrouble(now, time.Now())
	line := a.summaryLine()
	if now != nil {
		line += "; " + now.Error()
	}
	a.reportProgress(line)
	return nil
}

// trackTrouble keeps the time since when a trouble stands. A container that crash-loops is well for some seconds after
// each start, which makes it no new trouble.
func (a *stackWait) trackTrouble(now *gpu.Failure, at time.Time) {
	passing := now == nil || now.Kind == gpu.AllocatableMissing && a.trouble != nil &&
		a.trouble.Kind != gpu.AllocatableMissing
	switch {
	case now != nil && now.HasSameSubject(a.trouble):
		a.trouble, a.seen = now, at
	case passing && a.trouble != nil && at.Sub(a.seen) < forgetAfter:
	default:
		a.trouble, a.since, a.seen = now, at, at
	}
}

func (a *stackWait) summaryLine() string {
	if a.gone == "" {
		return a.status.SummaryLine()
	}
	return a.status.SummaryLine() + "; " + a.gone
}

func (a *stackWait) reportProgress(line string) {
	if line != a.said && a.wait.Progress != nil {
		a.wait.Progress(line)
	}
	a.said = line
}

// timeoutError is the error of a wait whose context ended: the trouble that stood then, if there was one.
func (a *stackWait) timeoutError(ctx context.Context, c *Client) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("waiting for the GPU stack: %w", context.Cause(ctx))
	}
	f := a.trouble
	switch {
	case f != nil:
		withExplanation(ctx, c, f)
		f.Message += " (when the time for it was over)"
	case a.unanswered != nil:
		f = &gpu.Failure{Kind: gpu.Deadline, Message: "the GPU stack was not ready in time, and the API server " +
			"can't be " +
			"asked: " + a.unanswered.Error()}
	default:
		f = &gpu.Failure{Kind: gpu.Deadline, Message: "the GPU stack was not ready in time: " + a.summaryLine()}
	}
	f.Cause = context.Cause(ctx)
	return withExplanation(ctx, c, f)
}

// withExplanation adds the log to a failure, even when ctx has ended.
func withExplanation(ctx context.Context, c *Client, f *gpu.Failure) *gpu.Failure {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), explainTimeout)
	defer cancel()
	ExplainFailure(ctx, c, f)
	return f
}
