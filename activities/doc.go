// Package activities holds what the activities of all subjects stand on: references to machines, clouds, deadlines,
// errors of steps, progress and events. The activities themselves are in its subpackages.
//
// Activities are the side effects of operations. Each one checks before it acts, so it can run twice, heartbeats while
// it works, and takes and returns references, never secrets.
package activities
