package launches

import (
	"context"
	"slices"
	"testing"
	"time"
)

func TestHeadsGoFirst(t *testing.T) {
	q := &Queue{}
	done, err := q.AwaitTurn(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	turn := make(chan string, 3)
	come := func(name string, head bool) {
		before := func() int { q.mu.Lock(); defer q.mu.Unlock(); return len(q.waiting) }
		n := before()
		go func() {
			done, err := q.AwaitTurn(context.Background(), head)
			if err != nil {
				t.Error(err)
				return
			}
			turn <- name
			done()
		}()
		for give := time.Now().Add(10 * time.Second); before() == n; {
			if time.Now().After(give) {
				t.Fatal("no waiter arrived")
			}
			time.Sleep(time.Millisecond) // between two checks
		}
	}
	come("first worker", false)
	come("second worker", false)
	come("head", true)
	done()
	for range 3 {
		order = append(order, <-turn)
	}
	if want := []string{"head", "first worker", "second worker"}; !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
}

func TestCancelledTurnDoesNotBlockTheQueue(t *testing.T) {
	q := &Queue{}
	done, err := q.AwaitTurn(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := q.AwaitTurn(ctx, true); err == nil {
		t.Error("two turns at the same time")
	}
	done()
	done, err = q.AwaitTurn(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	done()
}
