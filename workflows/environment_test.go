package workflows

import (
	"time"

	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
)

// patience is longer, in real time, than activities of a test take to meet each other on a busy computer.
const patience = time.Minute

// newEnvironment returns a workflow environment for a computer that may be busy with other tests: its real-time limits
// are longer than the defaults of 3 s per test and 1 s until a workflow yields.
func newEnvironment() *testsuite.TestWorkflowEnvironment {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(2 * patience)
	env.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: 2 * patience})
	return env
}
