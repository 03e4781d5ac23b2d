// Package integration tests whole operations: real workflows and activities on a real Temporal and a real etcd in the
// test's own process, against a simulated cloud whose machines answer over real SSH.
package integration
