package simcloud

import (
	"context"
	"fmt"
	"time"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

// Op is a point at which a fault can occur.
type Op string

// The points: one at the start of each call, and OpSubmitted and OpStarted at the end of calls that succeeded.
const (
	OpValidate  Op = "validate"
	OpPlan      Op = "plan"
	OpSubmit    Op = "submit"
	OpSubmitted Op = "submitted"
	OpAwait     Op = "await"
	OpCancel    Op = "cancel"
	OpList      Op = "list"
	OpTerminate Op = "terminate"
	OpRelease   Op = "release"
	OpStart     Op = "start"
	OpStarted   Op = "started"
)

// Fault is what happens to a call at a point. InjectFault adds a fault, and EndFault removes it.
type Fault struct {
	Op Op
	// Region and Machine select calls; "" selects all. Not every call has both.
	Region, Machine string
	// Times is how often it occurs; 0 is always.
	Times int
	// Do runs first; its error is the call's.
	Do func(ctx context.Context) error
	// Hang makes the call wait until its context ends.
	Hang bool
	// Err is the call's error.
	Err error

	hits  int
	ended bool
}

// InjectFault adds a fault, and returns it.
func (c *Cloud) InjectFault(f Fault) *Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, &f)
	return &f
}

// CountFaultHits returns how often a fault occurred.
func (c *Cloud) CountFaultHits(f *Fault) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return f.hits
}

// EndFault removes a fault; calls that already hang keep hanging.
func (c *Cloud) EndFault(f *Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.ended = true
}

// meetFault applies the first fault at a point.
func (c *Cloud) meetFault(ctx context.Context, op Op, region, machine string) error {
	f := c.nextFault(op, region, machine)
	if f == nil {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%s %s: %w", op, machine, err)
		}
		return nil
	}
	if f.Do != nil {
		if err := f.Do(ctx); err != nil {
			return err
		}
	}
	if f.Hang {
		<-ctx.Done()
		return fmt.Errorf("%s %s: %w", op, machine, ctx.Err())
	}
	return f.Err
}

func (c *Cloud) nextFault(op Op, region, machine string) *Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.faults {
		fits := f.Op == op && (f.Region == "" || f.Region == region) && (f.Machine == "" || f.Machine == machine)
		if fits && !f.ended && (f.Times == 0 || f.hits < f.Times) {
			f.hits++
			return f
		}
	}
	return nil
}

// NewRefusal returns an error of the cloud with this kind, for a Fault.
func NewRefusal(kind cloud.ErrorKind) error {
	return &cloud.Error{Kind: kind, Message: fmt.Sprintf("the simulated cloud refuses (%s)", kind)}
}

// SetListingLag makes the list out of date by this much.
func (c *Cloud) SetListingLag(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lag = d
}

// AddForeignMachine adds a machine of another owner, without a host.
func (c *Cloud) AddForeignMachine(m cloud.Machine) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next++
	m.ID, m.State, m.Cloud = fmt.Sprintf(idFormat, c.next), cloud.StateRunning, Name
	c.machines = append(c.machines, &machine{Machine: m})
}
