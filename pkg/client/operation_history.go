package client

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/operation"
)

const (
	// summarizedRuns are the latest runs of which a summary lists every step; of earlier ones it has a line.
	summarizedRuns = 3
	// summarizedEvents bounds the steps of a run.
	summarizedEvents = 3000
	historyTimeout   = time.Minute
)

// SummarizeOperations returns a text with the operations of a cluster, the latest first, and the steps of the latest
// ones with their failures. It may have secrets that failures quote: see package redact.
func (c *Client) SummarizeOperations(ctx context.Context, cluster string) ([]byte, error) {
	t, err := c.ConnectTemporal(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, historyTimeout)
	defer cancel()
	runs, err := t.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Query: fmt.Sprintf("WorkflowId = '%s'", operation.WorkflowID(cluster)), PageSize: 100})
	if err != nil {
		return nil, c.toTemporalError(ctx, err)
	}
	var b bytes.Buffer
	for i, r := range runs.GetExecutions() {
		writeRun(&b, r)
		if i < summarizedRuns {
			if err := writeSteps(ctx, &b, t, r); err != nil {
				return b.Bytes(), c.toTemporalError(ctx, err)
			}
		}
	}
	return b.Bytes(), nil
}

func writeRun(b *bytes.Buffer, r *workflowpb.WorkflowExecutionInfo) {
	end := "running"
	if r.GetCloseTime() != nil {
		end = r.GetCloseTime().AsTime().Format(time.RFC3339)
	}
	fmt.Fprintf(b, "%s %s %s to %s, %d events\n", r.GetType().GetName(),
		strings.TrimPrefix(r.GetStatus().String(), "WORKFLOW_EXECUTION_STATUS_"),
		r.GetStartTime().AsTime().Format(time.RFC3339), end, r.GetHistoryLength())
}

func writeSteps(ctx context.Context, b *bytes.Buffer, t client.Client, r *workflowpb.WorkflowExecutionInfo) error {
	events := t.GetWorkflowHistory(ctx, r.GetExecution().GetWorkflowId(), r.GetExecution().GetRunId(), false,
		enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for n := 0; events.HasNext() && n < summarizedEvents; n++ {
		e, err := events.Next()
		if err != nil {
			return err
		}
		if about := describeStep(e); about != "" {
			fmt.Fprintf(b, "  %s %d %s\n", e.GetEventTime().AsTime().Format(time.RFC3339), e.GetEventId(), about)
		}
	}
	return nil
}

// describeStep names what an event of a history is about; empty for those that only Temporal needs.
func describeStep(e *history.HistoryEvent) string {
	switch e.GetEventType() {
	case enums.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
		return "scheduled " + e.GetActivityTaskScheduledEventAttributes().GetActivityType().GetName()
	case enums.EVENT_TYPE_ACTIVITY_TASK_STARTED:
		a := e.GetActivityTaskStartedEventAttributes()
		if a.GetLastFailure() == nil {
			return ""
		}
		return fmt.Sprintf("attempt %d of step %d, after: %s", a.GetAttempt(), a.GetScheduledEventId(),
			toOneLine(a.GetLastFailure().GetMessage()))
	case enums.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
		return fmt.Sprintf("step %d completed", e.GetActivityTaskCompletedEventAttributes().GetScheduledEventId())
	case enums.EVENT_TYPE_ACTIVITY_TASK_FAILED:
		a := e.GetActivityTaskFailedEventAttributes()
		return fmt.Sprintf("step %d failed: %s", a.GetScheduledEventId(), toOneLine(a.GetFailure().GetMessage()))
	case enums.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
		return "failed: " + toOneLine(e.GetWorkflowExecutionFailedEventAttributes().GetFailure().GetMessage())
	case enums.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED, enums.EVENT_TYPE_WORKFLOW_TASK_STARTED,
		enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, enums.EVENT_TYPE_MARKER_RECORDED,
		enums.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
		return ""
	}
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(e.GetEventType().String(), "EVENT_TYPE_"), "_", " "))
}
