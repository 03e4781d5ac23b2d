package faults

import (
	"context"
	"io"
	"path/filepath"
	"time"

	"github.com/sky-shift/skyctl/test/devserver"
	"github.com/sky-shift/skyctl/test/simcloud"
)

// serverFaults stop servers during an operation.
func serverFaults() []fault {
	creating := func(away func(l *lane)) func(*lane) {
		return func(l *lane) {
			reached, goOn := l.pause(simcloud.OpAwait, l.machine(1))
			l.create()
			<-reached
			away(l)
			close(goOn)
		}
	}
	deleting := func(away func(l *lane)) func(*lane) {
		return func(l *lane) {
			ref := l.ready()
			reached, goOn := l.pause(simcloud.OpTerminate, l.machine(1))
			l.remove(ref)
			<-reached
			away(l)
			close(goOn)
		}
	}
	repairing := func(away func(l *lane)) func(*lane) {
		return func(l *lane) {
			l.ready()
			reached, goOn := l.pause(simcloud.OpAwait, l.machine(1))
			l.cloud.LoseMachine(l.machine(1))
			l.beginSweep()
			<-reached
			away(l)
			close(goOn)
			l.converge()
		}
	}
	shut := func(of func(*lane) *gate) func(*lane) {
		return func(l *lane) {
			of(l).set(true)
			time.Sleep(span(8*time.Second, time.Minute)) // this is the fault
			of(l).set(false)
		}
	}
	etcd, temporal := func(l *lane) *gate { return l.toEtcd }, func(l *lane) *gate { return l.toTemporal }
	all := []fault{
		{kind: "servers", name: "etcd restarted during create", ends: isReady, home: home{etcd: fresh},
			try: creating(func(l *lane) { l.restart(l.etcd) })},
		{kind: "servers", name: "Temporal restarted during create", ends: isReady, home: home{temporal: fresh},
			try: creating(func(l *lane) { l.restart(l.temporal) })},
		{kind: "servers", name: "etcd unreachable during create", ends: isReady, try: creating(shut(etcd))},
		{kind: "servers", name: "Temporal unreachable during create", ends: isReady, try: creating(shut(temporal))},
		{kind: "servers", name: "etcd unreachable during delete", ends: isGone, try: deleting(shut(etcd))},
		{kind: "servers", name: "etcd unreachable during repair", ends: isReady, try: repairing(shut(etcd))},
		{kind: "servers", name: "no worker for a while during create", ends: isReady, try: creating(func(l *lane) {
			l.stopWorker()
			time.Sleep(span(8*time.Second, time.Minute)) // this is the fault
			l.check(l.startWorker())
		})},
	}
	if !*long {
		return all
	}
	return append(all,
		fault{kind: "servers", name: "etcd restarted during delete", ends: isGone, home: home{etcd: fresh},
			try: deleting(func(l *lane) { l.restart(l.etcd) })},
		fault{kind: "servers", name: "Temporal restarted during delete", ends: isGone, home: home{temporal: fresh},
			try: deleting(func(l *lane) { l.restart(l.temporal) })},
		fault{kind: "servers", name: "etcd restarted during repair", ends: isReady, home: home{etcd: fresh},
			try: repairing(func(l *lane) { l.restart(l.etcd) })},
		fault{kind: "servers", name: "Temporal restarted during repair", ends: isReady, home: home{temporal: fresh},
			try: repairing(func(l *lane) { l.restart(l.temporal) })},
		fault{kind: "servers", name: "Temporal unreachable during repair", ends: isReady,
			try: repairing(shut(temporal))},
		fault{kind: "servers", name: "Temporal unreachable during delete", ends: isGone, try: deleting(shut(temporal))},
	)
}

// fresh is replaced by the lane's own servers, which it can stop.
var fresh = &devserver.Servers{}

// own starts the lane's own servers.
func (l *lane) own(s **devserver.Servers, name string) {
	l.t.Helper()
	if *s != fresh {
		return
	}
	turns <- struct{}{}
	defer func() { <-turns }()
	started, err := devserver.StartServers(l.t.Context(), filepath.Join(l.dir, name), io.Discard)
	l.check(err)
	l.t.Cleanup(started.Close)
	*s = started
}

func (l *lane) restart(s *devserver.Servers) {
	l.t.Helper()
	l.check(s.Stop())
	l.check(s.Start(context.Background()))
}

// pause holds the first call of a kind for a machine. It closes reached when the call comes, and waits for goOn.
func (l *lane) pause(op simcloud.Op, machine string) (reached <-chan struct{}, goOn chan<- struct{}) {
	met, free := make(chan struct{}), make(chan struct{})
	l.cloud.InjectFault(simcloud.Fault{Op: op, Machine: machine, Times: 1, Do: func(ctx context.Context) error {
		close(met)
		select {
		case <-free:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}})
	return met, free
}
