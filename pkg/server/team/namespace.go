package team

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/client/connect"
	"github.com/sky-shift/skyctl/pkg/config"
)

const (
	retryInterval  = 500 * time.Millisecond
	requestTimeout = 5 * time.Second
)

// Namespace is the Temporal namespace that skyctl needs.
type Namespace struct {
	Retention        time.Duration // how long the history of a finished operation is kept
	SearchAttributes []string      // keywords
}

// Ensure creates the configured namespace if it is missing, adds missing search attributes, and returns when workflows
// can be started in it. It waits for Temporal until the context ends. An existing namespace keeps its retention.
func (n Namespace) Ensure(ctx context.Context, cfg *config.Config) error {
	err := await.Success(ctx, retryInterval, func() error { return n.ensureOnce(ctx, cfg) })
	if err != nil {
		return fmt.Errorf("creating the namespace %s at Temporal %s: %w", cfg.Temporal.Namespace, cfg.Temporal.Address,
			err)
	}
	return nil
}

func (n Namespace) ensureOnce(ctx context.Context, cfg *config.Config) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	c, err := dialTemporal(ctx, cfg)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.WorkflowService().RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
		Namespace: cfg.Temporal.Namespace, Description: "operations on skyctl's clusters",
		WorkflowExecutionRetentionPeriod: durationpb.New(n.Retention),
	})
	var exists *serviceerror.NamespaceAlreadyExists
	if err != nil && !errors.As(err, &exists) {
		return err
	}
	if err := n.addSearchAttributes(ctx, c, cfg.Temporal.Namespace); err != nil {
		return err
	}
	// Queries the frontend, which sees a namespace some seconds later than the database.
	_, err = c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Namespace: cfg.Temporal.Namespace,
		PageSize: 1})
	return err
}

func (n Namespace) addSearchAttributes(ctx context.Context, c client.Client, namespace string) error {
	have, err := c.OperatorService().ListSearchAttributes(ctx,
		&operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return err
	}
	missing := map[string]enumspb.IndexedValueType{}
	for _, a := range n.SearchAttributes {
		if _, ok := have.GetCustomAttributes()[a]; !ok {
			missing[a] = enumspb.INDEXED_VALUE_TYPE_KEYWORD
		}
	}
	if len(missing) == 0 {
		return nil
	}
	_, err = c.OperatorService().AddSearchAttributes(ctx,
		&operatorservice.AddSearchAttributesRequest{Namespace: namespace, SearchAttributes: missing})
	return err
}

func dialTemporal(ctx context.Context, cfg *config.Config) (client.Client, error) {
	return connect.DialTemporal(ctx, cfg, "skyd team", nil)
}
