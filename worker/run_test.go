package worker

import (
	"context"
	"errors"
	"testing"
)

// runs stands for a worker of Temporal's SDK, whose patience with errors of a server is minutes.
type runs func(interrupt <-chan any) error

func (r runs) Run(interrupt <-chan any) error { return r(interrupt) }

func TestPermanentWorkerErrorIsReturned(t *testing.T) {
	gone := errors.New("namespace skyctl is not found")
	err := runUntilDone(t.Context(), runs(func(<-chan any) error { return gone }))
	if !errors.Is(err, gone) {
		t.Errorf("ended with %v, want %v", err, gone)
	}
}

func TestWorkerStopsWithoutError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	working := make(chan struct{})
	go func() {
		ended <- runUntilDone(ctx, runs(func(interrupt <-chan any) error {
			close(working)
			<-interrupt
			return nil
		}))
	}()
	<-working
	select {
	case err := <-ended:
		t.Fatalf("ended before it was asked to: %v", err)
	default:
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
}
