package cli

import (
	"context"
	"errors"
)

// runChangeDryRun shows what a change would do.
func (a *app) runChangeDryRun(ctx context.Context, r changeRequest, d *dryRunFlags) error {
	return errors.New("not yet")
}
