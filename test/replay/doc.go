// Package replay holds the workflows to being deterministic: the histories of real runs, one for each path, are gone
// through again with the code of now. A change that breaks one would break the operations that are under way when it is
// rolled out.
//
// The histories are kept by go test ./test/integration -update. Where a change is meant to go another way, guard it by
// workflow.GetVersion once there is a release whose operations may be under way; before that, keep the histories anew.
package replay
