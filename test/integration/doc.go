// Package integration tests whole operations: real workflows and activities, with a real Temporal and etcd in the
// test's process, on a simulated cloud whose machines answer over real SSH.
package integration
