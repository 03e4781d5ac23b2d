// Package faults is the fault lab: it kills skyd's worker at every point of every activity, makes servers, machines and
// clouds stop or lie, and checks the same invariants after each fault. Temporal, etcd and SSH are real; the worker is a
// separate process that is really killed; the machines are those of test/simcloud.
package faults
