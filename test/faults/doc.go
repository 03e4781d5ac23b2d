// Package faults is the fault lab: it kills skyd's worker at every point of every activity, stops servers, machines and
// clouds or lets them lie, and checks the same invariants after each fault. Temporal, etcd and SSH are real; the worker
// is a process of its own that is really killed; the machines are those of test/simcloud.
package faults
