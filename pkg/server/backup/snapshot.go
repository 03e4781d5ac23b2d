package backup

import (
	"strings"

	"github.com/sky-shift/skyctl/pkg/etcdsnapshot"
)

// Snapshot is what a snapshot of etcd contains.
type Snapshot struct {
	// Revision is the one of the last change, of any prefix.
	Revision int64 `json:"revision"`
	Clusters int   `json:"clusters"`
	Machines int   `json:"machines"`
}

// readSnapshot checks a snapshot's hash, and counts the objects below an installation's prefix.
func readSnapshot(path, prefix string) (Snapshot, error) {
	var s Snapshot
	clusters, machines := map[string]bool{}, map[string]bool{}
	err := etcdsnapshot.ReadChanges(path, func(c etcdsnapshot.Change) error {
		s.Revision = c.Revision
		key := string(c.Key)
		for kind, seen := range map[string]map[string]bool{"clusters": clusters, "machines": machines} {
			switch {
			case !strings.HasPrefix(key, prefix+"/"+kind+"/"):
			case c.Deleted:
				delete(seen, key)
			default:
				seen[key] = true
			}
		}
		return nil
	})
	s.Clusters, s.Machines = len(clusters), len(machines)
	return s, err
}
