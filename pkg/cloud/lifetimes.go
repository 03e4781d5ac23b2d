package cloud

import (
	"context"
	"time"
)

// LifetimeLister is a Cloud that knows when machines were launched and when they ended, which is what it bills.
type LifetimeLister interface {
	// ListLifetimes lists all machines of an owner that exist or ended recently.
	ListLifetimes(ctx context.Context, owner Owner) (Lifetimes, error)
}

// Lifetimes is what some clouds report.
type Lifetimes struct {
	// Clouds that reported all their machines.
	Clouds []string
	// Remembered is how long these clouds list a machine after its end.
	Remembered time.Duration
	Machines   []Lifetime
}

// Lifetime is that of one machine.
type Lifetime struct {
	ID          string
	Index       int
	Incarnation string
	From        time.Time
	// Until is zero if the machine exists, or the cloud does not report when it ended.
	Until time.Time
	// Ended: it no longer exists.
	Ended bool
}
