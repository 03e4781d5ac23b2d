package cloud

import "context"

// Broker is a Cloud that gets its machines from several clouds, and which may have forgotten some of them: its own
// records were lost, or an older copy of them was restored.
type Broker interface {
	// ListVerified is List where somebody else knows what the broker may have forgotten. A cloud that can't be asked,
	// or that gave a machine which the broker has no record of, is in the *PartialError: then nobody can say what is
	// there.
	ListVerified(ctx context.Context, owner Owner, known KnownMachines) ([]Machine, error)
}

// KnownMachines is what is known of an owner's machines by somebody else than the cloud.
type KnownMachines struct {
	// Clouds that the owner has machines on, or had some, by their names in specs.
	Clouds []string
	// Machines that were up, and whose end nobody has seen.
	Machines []KnownMachine
}

// KnownMachine is a machine that was up.
type KnownMachine struct {
	Cloud, Name string
	// Incarnation may be empty where it is not known.
	Incarnation string
}

// ListVerified asks a cloud for an owner's machines, and a broker for those that it may have forgotten, too.
func ListVerified(ctx context.Context, of Cloud, owner Owner, known KnownMachines) ([]Machine, error) {
	if broker, ok := of.(Broker); ok {
		return broker.ListVerified(ctx, owner, known)
	}
	return of.ListMachines(ctx, owner)
}
