package client

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/client"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/store"
)

// adoptTimeout bounds an adoption, which contacts a machine of every cluster.
const adoptTimeout = 5 * time.Minute

// HomeDoubtError says that skyctl starts no operation, because this state may be a copy or an old backup.
type HomeDoubtError struct{ Doubt *api.HomeDoubt }

func (e *HomeDoubtError) Error() string {
	return fmt.Sprintf("the home of this installation is in doubt, so skyctl changes no machine: %s; %s",
		toOneLine(e.Doubt.JoinMessages()), api.HomeHint)
}

// ReadHome reads the record of the installation's home.
func (c *Client) ReadHome(ctx context.Context) (api.Home, error) {
	s, err := c.ConnectStore(ctx)
	if err != nil {
		return api.Home{}, err
	}
	return s.ReadHome(ctx)
}

// refuseHomeInDoubt fails while the home is in doubt.
func refuseHomeInDoubt(ctx context.Context, s *store.Store) error {
	h, err := s.ReadHome(ctx)
	if err != nil {
		return err
	}
	if h.Doubt != nil {
		return &HomeDoubtError{Doubt: h.Doubt}
	}
	return nil
}

// AdoptHome finds out what differs in this state and, if that is confirmed, makes it the home of the installation.
func (c *Client) AdoptHome(ctx context.Context, in operation.AdoptInput) (operation.AdoptResult, error) {
	var result operation.AdoptResult
	summary := "Check the installation's home"
	if in.Confirmed {
		summary = "Make this state the installation's home"
	}
	run, err := c.startShortWorkflow(ctx, client.StartWorkflowOptions{
		ID: "adopt/" + uuid.NewString(), WorkflowExecutionTimeout: adoptTimeout, StaticSummary: summary,
	}, operation.WorkflowAdopt, in)
	if err != nil {
		return result, err
	}
	return result, run.awaitResult(ctx, &result)
}
