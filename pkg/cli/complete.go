package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/daemon"
	"github.com/sky-shift/skyctl/pkg/operations"
)

// completionPatience is how long a shell may be kept waiting for names.
const completionPatience = 500 * time.Millisecond

// completeNames offers the names of clusters where something runs that knows them. It starts nothing and never complains.
func (a *app) completeNames(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	none := cobra.ShellCompDirectiveNoFileComp
	cfg, err := a.settings()
	if err != nil || len(args) > 0 {
		return nil, none
	}
	if !cfg.External() {
		state, err := daemon.Status(cfg)
		if err != nil {
			return nil, none
		}
		state.Use(cfg)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
	defer cancel()
	ops := operations.New(cfg, a.env.Now)
	defer ops.Close()
	s, err := ops.Store(ctx)
	if err != nil {
		return nil, none
	}
	clusters, _ := s.List(ctx) // what can't be understood has no name to offer
	var names []string
	for i := range clusters {
		names = append(names, clusters[i].Metadata.Name+"\t"+string(clusters[i].Status.Phase))
	}
	return names, none
}
