// Package replay tests that workflows are deterministic: it replays the histories of real runs, one for each path, with
// the current code. A change that breaks one would break running operations when it is rolled out.
//
// go test ./test/integration -update records the histories. If a change is meant to issue other commands, guard it with
// workflow.GetVersion once there is a release whose operations may be running; before that, record the histories again.
package replay
