package faults

import (
	"slices"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/rke2/preflight"
)

// nobody is the address of a proxy that does not answer.
const nobody = "http://127.0.0.1:1"

// proxyFaults are networks with wrong proxies and closed ports.
func proxyFaults() []fault {
	all := []fault{
		{
			kind: "proxy", name: "in the environment of every machine", ends: isReady, try: func(l *lane) {
				for i := range size {
					l.cloud.SetEnvironment(l.machine(i), "https_proxy="+nobody, "http_proxy="+nobody, "no_proxy=")
				}
				l.ready()
				l.check(l.cloud.StopUnit(l.machine(0), "failed"))
				l.converge()
			},
		},
		{
			kind: "proxy", name: "in the worker's environment", ends: isReady,
			home: home{env: []string{"HTTPS_PROXY=" + nobody, "HTTP_PROXY=" + nobody, "https_proxy=" + nobody,
				"NO_PROXY=", "no_proxy="}},
			try: func(l *lane) {
				l.cloud.UseOutsideAddress(l.machine(0))
				l.ready()
				l.converge()
				l.hadNoRepair()
			},
		},
		{
			kind: "proxy", name: "keeps the worker from the API of a head that is well", ends: isReady, try: func(
				l *lane) {
				l.ready()
				l.check(l.cloud.BlockAPI(l.machine(0), true))
				l.until("it lasts longer than a server may be not well", func() bool {
					l.sweep()
					return slices.ContainsFunc(l.find().Status.Drift, func(d api.Drift) bool {
						return d.Reason == api.DriftAPIUnreachable &&
							time.Since(d.Since) > 2*l.place.Settings.Policy.NotReadyFor
					})
				})
				l.check(l.cloud.BlockAPI(l.machine(0), false))
				l.converge()
				l.hadNoRepair()
			},
		},
	}
	for _, closed := range []struct {
		name, how string
		port      int
		from      int
	}{
		{"9345 of the head rejects a worker", "rejected", rke2.SupervisorPort, 1},
		{"6443 of the head drops what a worker sends", "silent", rke2.APIPort, 2},
		{"10250 of the workers rejects the head", "rejected", preflight.KubeletPort.Number, 0},
	} {
		machine := closed.from
		if machine == 0 {
			machine = -1 // whichever worker is the first
		}
		all = append(all, fault{kind: "machine", name: closed.name, ends: isError(machine, rke2.PortClosed),
			try: func(l *lane) {
				l.cloud.ClosePort(l.machine(closed.from), closed.port, closed.how)
				l.create()
			}})
	}
	return all
}

// hadNoRepair fails if a healthy cluster was repaired.
func (l *lane) hadNoRepair() {
	l.t.Helper()
	for _, r := range l.find().Status.Repairs {
		l.t.Errorf("a healthy cluster was repaired: %+v", r)
	}
}
