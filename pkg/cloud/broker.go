package cloud

import "context"

// Broker is a Cloud that gets its machines from several clouds and may have forgotten some of them: its records were
// lost, or an older copy of them was restored.
type Broker interface {
	// ListVerified is ListMachines, checked against what the caller knows. A cloud that does not answer, or that has a
	// known machine of which the broker has no record, is in the *PartialError: its machines are then unknown.
	ListVerified(ctx context.Context, owner Owner, known KnownMachines) ([]Machine, error)
}

// KnownMachines is what the caller, not the cloud, knows about an owner's machines.
type KnownMachines struct {
	// Clouds that the owner has or had machines on, by their names in specs.
	Clouds []string
	// Machines that were up and whose end nobody has observed.
	Machines []KnownMachine
}

// KnownMachine is a machine that was up.
type KnownMachine struct {
	Cloud, Name string
	// Incarnation is empty if it is unknown.
	Incarnation string
}

// ListVerified lists an owner's machines, including those that a broker may have forgotten.
func ListVerified(ctx context.Context, of Cloud, owner Owner, known KnownMachines) ([]Machine, error) {
	if broker, ok := of.(Broker); ok {
		return broker.ListVerified(ctx, owner, known)
	}
	return of.ListMachines(ctx, owner)
}
