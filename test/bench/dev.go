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
	// idleAfter is when skyd has nothing left to do of its start.
	idleAfter = 30 * time.Second
)

// measureDev starts skyd dev on new data and again on the same, in turn with the services that it carries started as
// programs of their own.
func measureDev(ctx context.Context, b *bench) ([]row, error) {
	var first, again, idle, apart, apartIdle sample
	for i := range b.starts {
		p, err := b.newPlace(fmt.Sprintf("dev-%d", i))
		if err != nil {
			return nil, err
		}
		for _, took := range []*sample{&first, &again} {
			settle(ctx)
			began := time.Now()
			state, err := p.start(ctx)
			if err != nil {
				return nil, err
			}
			took.took(began)
			if i == 0 {
				if err := pauseFor(ctx, idleAfter); err != nil {
					return nil, err
				}
				mb, err := residentMB(state.PID)
				if err != nil {
					return nil, err
				}
				idle.add(mb)
			}
			if err := p.stop(ctx); err != nil {
				return nil, err
			}
		}
		settle(ctx)
		if err := measureServices(ctx, b, i, &apart, &apartIdle, i == 0); err != nil {
			return nil, err
		}
	}
	const name = "its parts apart"
	return []row{
		{what: "skyd dev ready, first start", value: first.seconds(), target: fmt.Sprintf("within %d s", readyTarget),
			ratio: first.ratioTo(apart, name), met: first.median() <= readyTarget*1000},
		{what: "skyd dev ready, later starts", value: again.seconds(), target: fmt.Sprintf("within %d s", readyTarget),
			ratio: again.ratioTo(apart, name), met: again.median() <= readyTarget*1000},
		{what: fmt.Sprintf("skyd dev idle after %.0f s, resident", idleAfter.Seconds()), value: idle.megabytes(),
			target: fmt.Sprintf("under %d MB", idleTarget), ratio: idle.ratioTo(apartIdle, name), met: idle.median() < idleTarget},
		{what: "baseline: etcd, Temporal (SQLite) and UI apart, ready", value: apart.seconds()},
		{what: fmt.Sprintf("baseline: the same idle after %.0f s, resident", idleAfter.Seconds()), value: apartIdle.megabytes()},
	}, nil
}

func measureServices(ctx context.Context, b *bench, i int, ready, idle *sample, wait bool) (err error) {
	began := time.Now()
	s, err := startServices(ctx, b, fmt.Sprintf("apart-%d", i))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	ready.took(began)
	if !wait {
		return nil
	}
	if err := pauseFor(ctx, idleAfter); err != nil {
		return err
	}
	mb, err := s.residentMB()
	idle.add(mb)
	return err
}

// pauseFor lets time pass that is itself part of what is measured.
func pauseFor(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
