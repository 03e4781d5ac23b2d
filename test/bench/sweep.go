package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"go.temporal.io/api/enums/v1"
	sdkclient "go.temporal.io/sdk/client"
	"golang.org/x/sync/errgroup"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/client/connect"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/store"
)

const (
	sweepTarget    = 20   // s
	historyTarget  = 3000 // events
	residentTarget = 400  // MB
	growthTarget   = 1.1  // times

	// deathCount is how many machines die, at random times within deathInterval, the interval between sweeps.
	deathCount    = 20
	deathInterval = 30 * time.Second
	// nodeReadyLag is how long a Node stays Ready after its machine's death. Kubernetes gives a kubelet 40 to 50 s;
	// until then the planner assumes that the cloud's list may be out of date.
	nodeReadyLag = 10 * time.Second
	// sshProbeWait is how long the planner then waits for a machine to answer over SSH before it trusts the list: 3 s,
	// once in the sweep, and once when the repair starts.
	sshProbeWait = 6 * time.Second
	// deathLimit limits the wait until all dead machines are replaced.
	deathLimit = 5 * time.Minute
)

// sweepBench is a skyd that manages a fleet.
type sweepBench struct {
	*bench
	fleet    *fleet
	pid      int
	cfg      *config.Config
	store    *store.Store
	temporal sdkclient.Client
	ops      *client.Client
}

// measureSweep alternates sweeps over many healthy clusters with the same requests by plain client-go, and then lets
// machines of some clusters die.
func measureSweep(ctx context.Context, b *bench) ([]resultRow, error) {
	s, err := b.newSweepBench(ctx)
	if err != nil {
		return nil, err
	}
	var m sweepSamples
	if err := m.before.addProcessMemory(s.pid, "VmRSS"); err != nil {
		return nil, err
	}
	for range b.sweeps {
		if err := s.measureOneSweep(ctx, &m); err != nil {
			return nil, err
		}
	}
	if m.launched, m.begun, err = s.measureMachineDeaths(ctx); err != nil {
		return nil, err
	}
	return m.toRows(), nil
}

// sweepSamples are the measurements of sweeps, one of each per sweep, and of deaths.
type sweepSamples struct {
	took, worked, base     sample
	events                 sample
	before, resident, peak sample
	launched, begun        sample
}

// measureOneSweep makes the plain requests, and runs a sweep.
func (s *sweepBench) measureOneSweep(ctx context.Context, m *sweepSamples) error {
	awaitQuietMachine(ctx)
	began := time.Now()
	if err := s.fleet.queryWithClientGo(ctx); err != nil {
		return err
	}
	m.base.addElapsed(began)
	awaitQuietMachine(ctx)
	busy, err := readProcessorMillis(s.pid)
	if err != nil {
		return err
	}
	began = time.Now()
	n, err := s.runSweep(ctx)
	if err != nil {
		return err
	}
	m.took.addElapsed(began)
	m.events.addValue(float64(n))
	now, err := readProcessorMillis(s.pid)
	m.worked.addValue(now - busy)
	if err := errors.Join(err, m.resident.addProcessMemory(s.pid, "VmRSS"),
		m.peak.addProcessMemory(s.pid, "VmHWM")); err != nil {
		return err
	}
	if s.trace {
		last := len(m.took) - 1
		s.logProgress("  swept in %.2f s, of which skyd worked %.2f s, with %.0f MB at the end; plainly asked in "+
			"%.2f s",
			m.took[last]/1000, m.worked[last]/1000, m.resident[last], m.base[last]/1000)
	}
	return nil
}

func (m *sweepSamples) toRows() []resultRow {
	const name = "client-go asking the same"
	// an interval has a jitter of a tenth
	wait := (deathInterval + deathInterval/10 + nodeReadyLag + sshProbeWait).Seconds()
	last := m.resident[len(m.resident)-1]
	growth := last / m.resident[0]
	return []resultRow{
		{what: fmt.Sprintf("a sweep over %d healthy clusters", fleetClusters), value: m.took.formatSeconds(),
			target: fmt.Sprintf("under %d s", sweepTarget),
			ratio:  m.took.formatRatio(m.base, name), met: m.took.maxValue() < sweepTarget*1000},
		{what: "processor time of skyd dev meanwhile", value: m.worked.formatSeconds()},
		{what: "events in its history", value: fmt.Sprintf("%.0f (%.0f-%.0f, n=%d)", m.events.median(),
			m.events.minValue(), m.events.maxValue(), len(m.events)),
			target: fmt.Sprintf("under %d", historyTarget), met: m.events.maxValue() < historyTarget},
		{what: "skyd dev at its most, resident", value: m.peak.formatMegabytes(),
			target: fmt.Sprintf("under %d MB", residentTarget),
			ratio:  m.peak.formatRatio(m.before, "what it was before"), met: m.peak.maxValue() < residentTarget},
		{what: fmt.Sprintf("skyd dev after sweep %d, resident", len(m.resident)), value: fmt.Sprintf("%.0f MB", last),
			target: fmt.Sprintf("at most %.1f x after sweep 1", growthTarget),
			ratio:  fmt.Sprintf("%.2f x after sweep 1", growth), met: growth <= growthTarget},
		{what: fmt.Sprintf("from a worker's death to its repair, a sweep every %.0f s", deathInterval.Seconds()),
			value:  m.begun.formatSeconds(),
			target: fmt.Sprintf("at most %.0f s", wait), met: m.begun.maxValue() <= wait*1000},
		{what: "from a worker's death to the launch of another", value: m.launched.formatSeconds()},
		{what: "baseline: " + name + ", 64 at a time", value: m.base.formatSeconds()},
	}
}

func (s *sample) addProcessMemory(pid int, what string) error {
	mb, err := readMemoryMB(pid, what)
	s.addValue(mb)
	return err
}

func (b *bench) newSweepBench(ctx context.Context) (*sweepBench, error) {
	network := "bench-" + b.id
	b.logProgress("  making %d clusters", fleetClusters)
	f, err := b.newFleet(ctx, network)
	if err != nil {
		return nil, err
	}
	p, err := b.newInstallation("sweep", "DOCKER_HOST="+f.engine.address, "SKYCTL_DOCKER_NETWORK="+network,
		"SKYCTL_RECONCILE_INTERVAL="+deathInterval.String())
	if err != nil {
		return nil, err
	}
	state, err := p.startServer(ctx)
	if err != nil {
		return nil, err
	}
	s := &sweepBench{bench: b, fleet: f, pid: state.PID}
	if s.cfg, err = p.loadConfig(); err != nil {
		return nil, err
	}
	state.ApplyTo(s.cfg)
	s.ops = client.New(s.cfg, time.Now)
	b.addCleanup(func() error { s.ops.Close(); return nil })
	if s.temporal, err = s.ops.ConnectTemporal(ctx); err != nil {
		return nil, err
	}
	if err := s.pauseSweeps(ctx); err != nil { // sweeps run only when they are measured
		return nil, err
	}
	key, err := connect.ReadSecretsKey(s.cfg)
	if err != nil {
		return nil, err
	}
	if s.store, err = connect.OpenStore(ctx, s.cfg, key); err != nil {
		return nil, err
	}
	b.addCleanup(s.store.Close)
	b.logProgress("  storing them")
	return s, f.storeClusters(ctx, s.cfg, s.store)
}

// pauseSweeps pauses the schedule of sweeps, and waits for a sweep that is running.
func (s *sweepBench) pauseSweeps(ctx context.Context) error {
	if _, err := s.ops.PauseReconcile(ctx, ""); err != nil {
		return err
	}
	for {
		d, err := s.temporal.ScheduleClient().GetHandle(ctx, operation.SweepScheduleID).Describe(ctx)
		if err != nil || len(d.Info.RunningWorkflows) == 0 {
			return err
		}
		if err := sleepFor(ctx, pollInterval); err != nil {
			return fmt.Errorf("wait for a sweep to end: %w", err)
		}
	}
}

// runSweep runs a sweep and returns how many events its history has. A sweep that missed a cluster, or found a fault,
// is an error.
func (s *sweepBench) runSweep(ctx context.Context) (int64, error) {
	asked := s.fleet.asked.Load()
	run, err := s.temporal.ExecuteWorkflow(ctx, sdkclient.StartWorkflowOptions{TaskQueue: s.cfg.Temporal.TaskQueue},
		operation.WorkflowSweep, operation.SweepInput{})
	if err != nil {
		return 0, err
	}
	var r operation.SweepResult
	if err := run.Get(ctx, &r); err != nil {
		return 0, err
	}
	asked = s.fleet.asked.Load() - asked
	if r.Looked != fleetClusters || asked < fleetClusters || len(r.Drifted) > 0 || len(r.Orphans) > 0 ||
		len(r.Unasked)+len(r.Failed) > 0 {
		return 0, fmt.Errorf("the sweep looked at %d clusters of %d and asked APIs %d times; it found %d that "+
			"drift, %d orphans, and could not ask %v, and failed at %v: %+v; tried again: %v",
			r.Looked, fleetClusters, asked, len(r.Drifted), len(r.Orphans), r.Unasked, r.Failed, r.Drifted[:min(3,
				len(r.Drifted))], s.listRetryReasons(ctx, run))
	}
	if again := s.listRetryReasons(ctx, run); len(again) > 0 {
		s.logProgress("  activities of the sweep were tried again, which counts in its time: %v", again)
	}
	d, err := s.temporal.DescribeWorkflowExecution(ctx, run.GetID(), run.GetRunID())
	if err != nil {
		return 0, err
	}
	return d.WorkflowExecutionInfo.HistoryLength, nil
}

// listRetryReasons returns why activities of a run were retried.
func (s *sweepBench) listRetryReasons(ctx context.Context, run sdkclient.WorkflowRun) []string {
	var why []string
	events := s.temporal.GetWorkflowHistory(ctx, run.GetID(), run.GetRunID(), false,
		enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		e, err := events.Next()
		if err != nil {
			return append(why, err.Error())
		}
		if a := e.GetActivityTaskStartedEventAttributes(); a.GetAttempt() > 1 {
			why = append(why, fmt.Sprintf("attempt %d after: %s", a.GetAttempt(), a.GetLastFailure().GetMessage()))
		}
	}
	return why
}

// measureMachineDeaths lets one worker of some clusters die at different times of an interval, and measures the time
// until its repair starts and until another machine is requested.
func (s *sweepBench) measureMachineDeaths(ctx context.Context) (launched, begun sample, err error) {
	s.logProgress("  %d machines die", deathCount)
	if _, err := s.ops.ResumeReconcile(ctx, ""); err != nil {
		return nil, nil, err
	}
	limited, cancel := context.WithTimeout(ctx, deathLimit)
	defer cancel()
	launches, begins := make(sample, deathCount), make(sample, deathCount)
	group, dying := errgroup.WithContext(limited)
	for i := range deathCount {
		group.Go(func() error {
			// One in each part of the interval.
			at := time.Duration((float64(i) + rand.Float64()) / deathCount * float64(deathInterval))
			if err := sleepFor(dying, at); err != nil {
				return err
			}
			var err error
			launches[i], begins[i], err = s.killWorker(dying, i*(fleetClusters/deathCount))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	return launches, begins, s.pauseSweeps(ctx)
}

// killWorker removes the last worker of a cluster, and returns the milliseconds until its repair started and until
// another was launched.
func (s *sweepBench) killWorker(ctx context.Context, cluster int) (launched, begun float64, err error) {
	m := s.fleet.members[cluster]
	victim := m.machines[fleetNodes-1]
	died := time.Now()
	s.fleet.engine.removeHost(victim.Name)
	if err := sleepFor(ctx, nodeReadyLag); err != nil {
		return 0, 0, err
	}
	if err := s.fleet.apis[cluster].markNodeSilent(victim.NodeName); err != nil {
		return 0, 0, err
	}
	for {
		if at, asked := s.fleet.engine.createRequestedAt(victim.Name); asked {
			launched = float64(at.Sub(died)) / float64(time.Millisecond)
			break
		}
		if err := sleepFor(ctx, pollInterval); err != nil {
			return 0, 0, fmt.Errorf("wait for the replacement of %s: %w", victim.Name, err)
		}
	}
	if s.trace {
		s.logProgress("  %s: launched again %.1f s after its death", victim.Name, launched/1000)
	}
	c, err := s.store.ReadCluster(ctx, m.cluster.Metadata.Name)
	if err != nil {
		return 0, 0, err
	}
	i := slices.IndexFunc(c.Status.Repairs, func(r api.Repair) bool {
		return r.Action.Machine == victim.Name && r.Action.Kind == api.ActionReplace
	})
	if i < 0 {
		return 0, 0, fmt.Errorf("%s is launched again, and no repair is on record: %+v", victim.Name, c.Status.Repairs)
	}
	return launched, float64(c.Status.Repairs[i].At.Sub(died)) / float64(time.Millisecond), nil
}
