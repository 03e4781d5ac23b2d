package cloud

import (
	"context"
	"time"
)

// LifetimeLister is a Cloud that can tell from when until when machines were there, which is what it bills.
type LifetimeLister interface {
	// ListLifetimes tells of all machines of an owner that are there, and of those that ended lately.
	ListLifetimes(ctx context.Context, owner Owner) (Lifetimes, error)
}

// Lifetimes are what some clouds say.
type Lifetimes struct {
	// Clouds that told of all their machines.
	Clouds []string
	// Remembered is for how long after its end these clouds tell of a machine.
	Remembered time.Duration
	Machines   []Lifetime
}

// Lifetime is that of one machine.
type Lifetime struct {
	ID          string
	Index       int
	Incarnation string
	From        time.Time
	// Until is zero for one that is there, and where the cloud does not say when it ended.
	Until time.Time
	// Ended: it is not there any more.
	Ended bool
}
