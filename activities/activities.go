// Package activities holds the side effects of operations: each one looks before it acts, so that it may run twice,
// heartbeats while it works, and takes and returns references rather than secrets.
package activities

import (
	"context"
	"maps"
	"slices"
	"strings"

	"go.temporal.io/sdk/activity"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/store"
)

// MachineRef names one incarnation of one place of a cluster.
type MachineRef struct {
	Cluster     api.Ref  `json:"cluster"`
	Index       int      `json:"index"`
	Name        string   `json:"name"`
	Incarnation string   `json:"incarnation"`
	NodeName    string   `json:"node_name"`
	Role        api.Role `json:"role"`
}

// Clouds are the clouds this installation can ask.
type Clouds struct {
	// Named are those that serve one name of a spec.
	Named map[string]cloud.Cloud
	// Others serves every other name, and the choice among them where a spec names none; nil where there is none such.
	Others cloud.Cloud
}

func (c Clouds) hasAny() bool { return len(c.Named) > 0 || c.Others != nil }

// FindCloud returns the cloud that serves a spec; an unknown one is an *api.FieldError.
func (c Clouds) FindCloud(name string) (cloud.Cloud, error) {
	if found, ok := c.Named[name]; ok {
		return found, nil
	}
	if c.Others != nil {
		return c.Others, nil
	}
	want := "one of: " + strings.Join(slices.Sorted(maps.Keys(c.Named)), " ")
	if name == "" {
		want = "name the cloud, " + want
	}
	return nil, &api.FieldError{Field: "cloud", Value: name, Want: want}
}

// readCluster reads a cluster with its machines; another one of that name is a *store.NotFoundError.
func readCluster(ctx context.Context, s *store.Store, ref api.Ref) (*api.Cluster, error) {
	c, err := s.ReadCluster(ctx, ref.Name)
	if err == nil && c.Metadata.UID != ref.UID {
		return nil, &store.NotFoundError{Cluster: ref.Name}
	}
	return c, err
}

// recordHeartbeat reports progress to the workflow's history; the interceptor of package worker keeps the beat itself
// going.
func recordHeartbeat(ctx context.Context, progress string) {
	if activity.IsActivity(ctx) {
		activity.RecordHeartbeat(ctx, redact.Text(progress))
	}
}
