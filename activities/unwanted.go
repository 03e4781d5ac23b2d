package activities

import (
	"errors"
	"fmt"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
)

// unwantedError says that a machine can't be launched because its clean-up has started or is done.
type unwantedError struct{ state api.MachineState }

func (e *unwantedError) Error() string {
	return fmt.Sprintf("the machine is no longer wanted: it is %s", e.state)
}

// CheckStillWanted returns an error if the clean-up of a machine has started.
func CheckStillWanted(r *api.Machine) error {
	if r.State == api.MachineTerminating || r.State == api.MachineGone {
		return &unwantedError{state: r.State}
	}
	return nil
}

// IsUnwanted reports whether an update failed because the machine's record is gone, replaced, or in clean-up.
func IsUnwanted(err error) bool {
	var (
		late    *unwantedError
		missing *store.NotFoundError
		stale   *store.StaleError
	)
	return errors.As(err, &late) || errors.As(err, &missing) || errors.As(err, &stale)
}
