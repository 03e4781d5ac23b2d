package operations

import "github.com/sky-shift/skyctl/pkg/api"

// differs has a line per field in which a cluster is another than the one asked for.
func differs(is, want *api.Cluster) []string {
	return nil
}
