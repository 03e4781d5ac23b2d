package faults

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/poweroff"
	"github.com/sky-shift/skyctl/pkg/store"
)

// ending is a permitted outcome of a fault.
type ending struct {
	phase api.Phase // "" means that the cluster is gone
	// reasons are the permitted reasons of a cluster in ERROR.
	reasons []string
	// machine is the index of the machine that the failure must name; -1 is any.
	machine int
	// left is how many machines a cluster in ERROR keeps on purpose.
	left int
	// machines is how many machines a READY cluster has.
	machines int
	// launches is how many machines were ever launched or reserved; 0 is any number.
	launches int
}

var (
	isReady   = isReadyWith(size)
	isGone    = ending{}
	isStopped = ending{phase: api.PhaseStopped}
)

func isReadyWith(machines int) ending { return ending{phase: api.PhaseReady, machines: machines} }

func isError(machine int, reasons ...string) ending {
	return ending{phase: api.PhaseError, machine: machine, reasons: reasons}
}

// holds waits until no operation is running, and checks the invariants: the cluster is in the wanted state, exactly its
// machines exist, and nothing else remains.
func (l *lane) holds(want ending) {
	l.t.Helper()
	var c *api.Cluster
	l.until("the operations end", func() bool { return !l.busy() && l.settled() })
	l.launchesOnce()
	l.snapshotsAreTrue()
	if c = l.find(); c == nil {
		if want.phase != "" {
			l.t.Fatalf("the cluster is gone, want it %s", want.phase)
		}
		l.nothingIsLeft()
		return
	}
	if c.Status.Phase != want.phase {
		l.t.Fatalf("the cluster is %q, want %q; failure %+v", c.Status.Phase, want.phase, c.Status.Failure)
	}
	switch want.phase {
	case api.PhaseReady:
		l.isWhole(c, want.machines)
		l.isChanged(c, want.launches)
		l.hasState(c)
	case api.PhaseError:
		l.isTrue(c, want)
	case api.PhaseStopped:
		l.isAsleep(c)
	}
	if l.sweeping != nil {
		if err := l.sweeping.Get(l.t.Context(), nil); err != nil {
			l.t.Errorf("the started sweep: %v", err)
		}
	}
	if sweep := l.sweep(); sweep == nil {
		l.t.Error("a sweep after the fault fails")
	} else if len(sweep.Drifted) > 0 || len(sweep.Orphans) > 0 || len(sweep.Unasked)+len(sweep.Failed) > 0 {
		l.t.Errorf("a sweep after the fault finds %+v", sweep)
	}
}

// settled reports whether the cluster is in a phase that needs no operation.
func (l *lane) settled() bool {
	c := l.find()
	if c == nil {
		return true
	}
	switch c.Status.Phase {
	case api.PhaseReady, api.PhaseError, api.PhaseStopped:
		return operation.RequestedOperation(c) == ""
	}
	return false
}

// isWhole checks that the cloud has exactly the recorded machines, Kubernetes exactly their Nodes, and the user the
// kubeconfig.
func (l *lane) isWhole(c *api.Cluster, machines int) {
	l.t.Helper()
	there := l.machines()
	if len(there) != machines || len(c.Status.Machines) != machines || c.Spec.MachineCount() != machines {
		l.t.Errorf("%d machines on the cloud, %d on record and %d in the spec, want %d: %s", len(there),
			len(c.Status.Machines), c.Spec.MachineCount(), machines, names(there))
	}
	var wanted []string
	for _, m := range c.Status.Machines {
		wanted = append(wanted, m.NodeName)
		if m.State != api.MachineReady || !m.PowerOffAt.IsZero() {
			l.t.Errorf("%s is %s, and powers itself off at %v", m.Name, m.State, m.PowerOffAt)
		}
		if l.cloud.IsTimerActive(m.Name, poweroff.UnitName) {
			l.t.Errorf("%s has a power-off timer", m.Name)
		}
	}
	for _, m := range there {
		i := slices.IndexFunc(c.Status.Machines, func(r api.Machine) bool { return r.Name == m.Name })
		if i < 0 || c.Status.Machines[i].Incarnation != m.Incarnation || c.Status.Machines[i].CloudID != m.ID ||
			m.State != cloud.StateRunning {
			l.t.Errorf("%s (%s, %s, %s) is not the machine on record", m.Name, m.ID, m.Incarnation, m.State)
		}
	}
	slices.Sort(wanted)
	nodes, passwords, ok := l.cloud.ListNodes(c.Metadata.UID)
	if !ok || !slices.Equal(nodes, wanted) || !slices.Equal(passwords, wanted) {
		l.t.Errorf("Nodes %q, passwords of %q, want %q", nodes, passwords, wanted)
	}
	kubeconfig, err := l.store.ReadSecret(l.t.Context(), c.Ref(), store.SecretKubeconfig)
	l.check(err)
	if file, err := os.ReadFile(l.kubeconfig()); err != nil || !bytes.Equal(file, kubeconfig) {
		l.t.Errorf("the user's kubeconfig is not the stored one: %v", err)
	}
}

// machines returns all machines of this installation that exist, from the cloud itself.
func (l *lane) machines() []cloud.Machine {
	l.t.Helper()
	ours := l.installation()
	return slices.DeleteFunc(l.cloud.ExistingMachines(""),
		func(m cloud.Machine) bool { return m.Owner.Installation != ours })
}

func (l *lane) kubeconfig() string {
	return filepath.Join(l.place.Settings.Home, l.cluster, "kubeconfig")
}

// isTrue checks that a cluster in ERROR names the cause and the machine, and has only machines that are kept on
// purpose.
func (l *lane) isTrue(c *api.Cluster, want ending) {
	l.t.Helper()
	f := c.Status.Failure
	if f == nil || f.Step == "" || f.Message == "" || !slices.Contains(want.reasons, f.Reason) {
		l.t.Fatalf("failure %+v, want one of the reasons %q", f, want.reasons)
	}
	if want.machine >= 0 && f.Machine != l.machine(want.machine) {
		l.t.Errorf("failure of %q, want %s: %+v", f.Machine, l.machine(want.machine), f)
	}
	if there := l.machines(); len(there) != want.left {
		l.t.Errorf("%d machines remain, want %d: %s", len(there), want.left, names(there))
	}
	if want.left > 0 {
		return
	}
	for _, m := range c.Status.Machines {
		if m.State.MayExist() {
			l.t.Errorf("%s is on record as %s", m.Name, m.State)
		}
	}
}

// nothingIsLeft checks that no machine, record, secret or file remains.
func (l *lane) nothingIsLeft() {
	l.t.Helper()
	if there := l.machines(); len(there) > 0 {
		l.t.Errorf("machines remain: %s", names(there))
	}
	if l.sweeping != nil {
		// It may have listed the machines before the delete ended them, and recorded them as orphans after the cluster
		// was forgotten: the next sweep forgets those.
		l.converge()
	}
	for _, key := range l.keys() {
		for _, kind := range []string{"/clusters/", "/machines/", "/secrets/", "/orphans/"} {
			if strings.Contains(key, kind) {
				l.t.Errorf("etcd still has %s", key)
			}
		}
	}
	if _, err := os.Stat(l.kubeconfig()); !errors.Is(err, os.ErrNotExist) {
		l.t.Errorf("the user's kubeconfig remains: %v", err)
	}
}

// keys returns all of the lane's keys in etcd.
func (l *lane) keys() []string {
	l.t.Helper()
	tls, err := l.cfg.Etcd.TLS.ClientConfig()
	l.check(err)
	c, err := clientv3.New(clientv3.Config{Endpoints: l.cfg.Etcd.Endpoints, TLS: tls, DialTimeout: 10 * time.Second,
		Context: l.t.Context()})
	l.check(err)
	defer func() { _ = c.Close() }()
	got, err := c.Get(l.t.Context(), l.cfg.Etcd.Prefix+"/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
	l.check(err)
	var all []string
	for _, kv := range got.Kvs {
		all = append(all, string(kv.Key))
	}
	return all
}

func names(machines []cloud.Machine) string {
	var all []string
	for _, m := range machines {
		all = append(all, m.Name+"/"+m.ID)
	}
	return strings.Join(all, " ")
}
