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

// How long a trouble must last to count as a failure. Many troubles pass while a stack starts, above all when the
// toolkit restarts RKE2 on a node. settledPatience is longer, because the operator takes time to discover nodes.
const (
	chartPatience   = 2 * time.Minute
	podPatience     = 3 * time.Minute
	nodePatience    = 5 * time.Minute
	settledPatience = 10 * time.Minute
)

// forgetAfter is how long a trouble must be absent to be over.
const forgetAfter = 30 * time.Second

// readinessPollInterval is the time between two checks of a stack.
const readinessPollInterval = 3 * time.Second

// explainTimeout bounds reading logs after the wait has timed out.
const explainTimeout = 20 * time.Second

// WaitOptions describes a wait for a ready stack.
type WaitOptions struct {
	// Kind is one of the GPUStack constants of package api.
	Kind string
	// Expected is the number of accelerators that each node should offer, by node name.
	Expected map[string]int
	// Progress, which may be nil, is called with each new state.
	Progress func(string)

	// poll and patience are set by tests.
	poll     time.Duration
	patience func(reason string) time.Duration
}

// AwaitReady waits until the stack is ready on every node, has failed, or ctx ends. A failure is a *gpu.Failure with
// the log of the failed part. The returned status is the last one. Errors of the API server are retried: the toolkit
// restarts RKE2 on each node, and with the head the API server.
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
	// reported is the line that Progress was last called with.
	reported string
	// gone lists parts of an otherwise ready stack that were deleted and are not back yet.
	gone string
	// trouble is the current trouble, since when it started, and seen when it was last observed.
	trouble     *gpu.Failure
	since, seen time.Time
	// apiError is the error of the last check; nil if the API server answered.
	apiError error
	hung     hungPods
	// repaired is what was done about pods that hung.
	repaired []string
}

func (a *stackWait) observeStack(ctx context.Context, c *Client) error {
	st, err := ReadStatus(ctx, c, a.wait.Kind, a.wait.Expected)
	var gone []string
	if err == nil && st.IsReady() && a.wait.Kind != api.GPUStackNone {
		gone, err = findMissingParts(ctx, c, a.wait.Kind)
	}
	if err != nil {
		if ctx.Err() == nil {
			a.apiError = err
			a.reportProgress("the API server does not answer: " + err.Error())
		}
		return err
	}
	a.status, a.gone, a.apiError = st, strings.Join(gone, ", "), nil
	now := st.Trouble
	if now == nil {
		now = st.down
	}
	if now == nil && st.isSettled() {
		if short := st.nodesMissingGPUs(); len(short) > 0 {
			now = &gpu.Failure{Kind: gpu.AllocatableMissing, Node: short[0].Node,
				Message: "the GPU stack is ready, but " + st.describeShortage(short) +
					" GPUs; check kubectl describe node and the log of the device plugin there"}
		}
	}
	a.trackTrouble(now, time.Now())
	if a.wait.Kind != api.GPUStackNone && !st.isSettled() {
		done, err := a.hung.deleteHungPods(ctx, c, a.wait.Kind, time.Now())
		if a.repaired = append(a.repaired, done...); err != nil && ctx.Err() == nil {
			a.reportProgress(err.Error())
		}
	}
	line := strings.Join(append([]string{a.summaryLine()}, a.repaired...), "; ")
	if now != nil {
		line += "; " + now.Error()
	}
	a.reportProgress(line)
	return nil
}

// trackTrouble records when the current trouble started. A crash-looping container looks healthy for some seconds after
// each start; that does not end its trouble.
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
	if line != a.reported && a.wait.Progress != nil {
		a.wait.Progress(line)
	}
	a.reported = line
}

// timeoutError returns the error of a wait whose context ended: the current trouble, if there is one.
func (a *stackWait) timeoutError(ctx context.Context, c *Client) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("waiting for the GPU stack: %w", context.Cause(ctx))
	}
	f := a.trouble
	switch {
	case f != nil:
		withExplanation(ctx, c, f)
		f.Message += " (when the wait timed out)"
	case a.apiError != nil:
		f = &gpu.Failure{Kind: gpu.Deadline, Message: "the GPU stack was not ready in time, and the API server " +
			"does not answer: " + a.apiError.Error()}
	default:
		f = &gpu.Failure{Kind: gpu.Deadline, Message: "the GPU stack was not ready in time: " + a.summaryLine()}
	}
	f.Cause = context.Cause(ctx)
	return withExplanation(ctx, c, f)
}

// withExplanation adds the log to a failure, even if ctx has ended.
func withExplanation(ctx context.Context, c *Client, f *gpu.Failure) *gpu.Failure {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), explainTimeout)
	defer cancel()
	ExplainFailure(ctx, c, f)
	return f
}
