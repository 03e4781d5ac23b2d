package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	readyTarget = 3   // s
	idleTarget  = 220 // MB
	// idleAfter is when skyd has finished its start.
	idleAfter = 30 * time.Second
)

// measureDev starts skyd dev on new data and again on the same data, in turn with its services started as separate
// programs.
func measureDev(ctx context.Context, b *bench) ([]resultRow, error) {
	var first, again, idle, apart, apartIdle sample
	for i := range b.starts {
		p, err := b.newInstallation(fmt.Sprintf("dev-%d", i))
		if err != nil {
			return nil, err
		}
		for _, took := range []*sample{&first, &again} {
			awaitQuietMachine(ctx)
			began := time.Now()
			state, err := p.startServer(ctx)
			if err != nil {
				return nil, err
			}
			took.addElapsed(began)
			if i == 0 {
				if err := sleepFor(ctx, idleAfter); err != nil {
					return nil, err
				}
				mb, err := readResidentMB(state.PID)
				if err != nil {
					return nil, err
				}
				idle.addValue(mb)
			}
			if err := p.stopServer(ctx); err != nil {
				return nil, err
			}
		}
		awaitQuietMachine(ctx)
		if err := measureBaselineServices(ctx, b, i, &apart, &apartIdle, i == 0); err != nil {
			return nil, err
		}
	}
	const name = "its parts apart"
	return []resultRow{
		{what: "skyd dev ready, first start", value: first.formatSeconds(),
			target: fmt.Sprintf("within %d s", readyTarget),
			ratio:  first.formatRatio(apart, name), met: first.median() <= readyTarget*1000},
		{what: "skyd dev ready, later starts", value: again.formatSeconds(),
			target: fmt.Sprintf("within %d s", readyTarget),
			ratio:  again.formatRatio(apart, name), met: again.median() <= readyTarget*1000},
		{what: fmt.Sprintf("skyd dev idle after %.0f s, resident", idleAfter.Seconds()), value: idle.formatMegabytes(),
			target: fmt.Sprintf("under %d MB", idleTarget), ratio: idle.formatRatio(apartIdle, name),
			met: idle.median() < idleTarget},
		{what: "baseline: etcd, Temporal (SQLite) and UI apart, ready", value: apart.formatSeconds()},
		{what: fmt.Sprintf("baseline: the same idle after %.0f s, resident", idleAfter.Seconds()),
			value: apartIdle.formatMegabytes()},
	}, nil
}

func measureBaselineServices(ctx context.Context, b *bench, i int, ready, idle *sample, wait bool) (err error) {
	began := time.Now()
	s, err := startBaselineServices(ctx, b, fmt.Sprintf("apart-%d", i))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	ready.addElapsed(began)
	if !wait {
		return nil
	}
	if err := sleepFor(ctx, idleAfter); err != nil {
		return err
	}
	mb, err := s.totalResidentMB()
	idle.addValue(mb)
	return err
}

// sleepFor waits; the time is part of the measurement.
func sleepFor(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
