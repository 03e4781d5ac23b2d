package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/printer"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/store"
)

// printResult prints on stdout what a command has done. If a program reads the output, it gets the object instead.
func (a *app) printResult(format string, args ...any) error {
	if a.hasStructuredOutput() {
		return nil
	}
	_, err := fmt.Fprintf(a.env.Out, format, args...)
	return err
}

// changedClusters are the clusters that a command has changed, as they are written with -o.
type changedClusters struct {
	clusters []*api.Cluster
	// isList: they are written as a list, also if there is only one.
	isList bool
	// waited: time has passed since the clusters were read.
	waited bool
	// part is written instead of a single cluster, if it is not nil.
	part *changedPart
}

// changedPart is the part of a cluster that a command changes.
type changedPart struct {
	kind, name string
	// find returns the part as it is now, or nil if the cluster has none of that name; a nil function if the part is
	// deleted.
	find func(*api.Cluster) any
}

// writeChanged writes clusters as -o asks for, after the change and the wait. Without -o it writes nothing.
func (a *app) writeChanged(ctx context.Context, ops *client.Client, o *outputFlags, changed changedClusters) error {
	if o == nil || !o.isStructured() || len(changed.clusters) == 0 {
		return nil
	}
	if p := changed.part; p != nil && p.find == nil {
		return a.writeDeleted(o, p.kind, p.name)
	}
	var now []api.Cluster
	for _, c := range changed.clusters {
		if changed.waited {
			s, err := ops.ConnectStore(ctx)
			if err != nil {
				return err
			}
			if c, err = s.ReadCluster(ctx, c.Metadata.Name); err != nil {
				return err
			}
		}
		now = append(now, *c)
	}
	if changed.isList {
		return o.write(a.env.Out, render.NewClusterList(now))
	}
	if p := changed.part; p != nil {
		object := p.find(&now[0])
		if object == nil { // somebody deleted it meanwhile
			return &store.NotFoundError{Cluster: now[0].Metadata.Name, What: strings.ToLower(p.kind) + " " + p.name}
		}
		return o.writeKind(a.env.Out, p.kind, object)
	}
	return o.write(a.env.Out, now[0])
}

// writeDeleted writes the name of an object that is deleted, if -o asks for it.
func (a *app) writeDeleted(o *outputFlags, kind, name string) error {
	if o == nil || !o.isStructured() {
		return nil
	}
	return printer.WriteName(a.env.Out, kind, name, "")
}
