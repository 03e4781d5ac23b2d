// Package faults is the fault lab: it kills skyd's worker at every moment of every activity, takes servers, machines
// and clouds away or lets them lie, and holds whatever comes of it to the same invariants. Temporal, etcd and SSH are
// real; the worker is a process of its own that is really killed; the machines are those of test/simcloud.
package faults
