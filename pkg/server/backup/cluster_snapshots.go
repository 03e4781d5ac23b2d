package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/lazyregexp"
	"github.com/sky-shift/skyctl/pkg/regularfile"
	"github.com/sky-shift/skyctl/pkg/store"
)

// clusterSnapshotDir holds the snapshots of clusters in a backup and below a state directory: the files of skyd's
// directory, sealed as they are. Their key is in etcd, sealed with secrets.key.
const clusterSnapshotDir = "snapshots"

var clusterSnapshotName = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$`)

func isClusterSnapshot(name string) bool {
	below, is := strings.CutPrefix(name, clusterSnapshotDir+"/")
	return is && clusterSnapshotName.MatchString(below)
}

// openClusterSnapshots opens the newest usable snapshot of each cluster that skyd keeps in its directory. The files
// stay open, so that a backup has what it describes although skyd replaces and removes files meanwhile.
func openClusterSnapshots(ctx context.Context, o CreateOptions) ([]source, error) {
	if !o.WithSnapshots {
		return nil, nil
	}
	all, err := o.Store.ListSnapshots(ctx, "")
	if err != nil {
		return nil, err
	}
	byCluster := map[string][]api.Snapshot{}
	for _, s := range all {
		if s.Place == api.SnapshotPlaceSkyd && s.IsUsable() {
			byCluster[s.ClusterUID] = append(byCluster[s.ClusterUID], s)
		}
	}
	clusters, err := o.Store.ListClusters(ctx)
	if corrupt := new(store.CorruptError); err != nil && !errors.As(err, &corrupt) {
		return nil, err
	}
	for _, c := range clusters {
		if current := c.DropUndoneSnapshots(byCluster[c.Metadata.UID]); len(current) > 0 {
			byCluster[c.Metadata.UID] = current
		}
	}
	var files []source
	for _, uid := range slices.Sorted(maps.Keys(byCluster)) {
		for left := byCluster[uid]; len(left) > 0; {
			s := api.NewestUsableSnapshot(left)
			opened, err := openClusterSnapshot(ctx, o.Config, *s)
			if err == nil {
				files = append(files, opened)
				break
			}
			if ctx.Err() != nil {
				closeSources(files)
				return nil, context.Cause(ctx)
			}
			// Its file is gone: skyd will notice. An older one is better than none.
			left = slices.DeleteFunc(left, func(l api.Snapshot) bool { return l.Name == s.Name })
		}
	}
	return files, nil
}

func openClusterSnapshot(ctx context.Context, c *config.Config, s api.Snapshot) (source, error) {
	name := clusterSnapshotDir + "/" + s.Object
	if !isClusterSnapshot(name) {
		return source{}, fmt.Errorf("the file %q of snapshot %s has an invalid name", s.Object, s.Name)
	}
	f, err := regularfile.Open(filepath.Join(c.Snapshots.Dir, filepath.FromSlash(s.Object)))
	if err != nil {
		return source{}, err
	}
	entry, err := describeOpenFile(ctx, name, f)
	if err == nil && entry.Bytes != s.SealedBytes {
		err = fmt.Errorf("the file of snapshot %s has %d bytes instead of %d", s.Name, entry.Bytes, s.SealedBytes)
	}
	if err != nil {
		_ = f.Close()
		return source{}, err
	}
	return source{entry, func() (io.ReadCloser, error) { _, err := f.Seek(0, io.SeekStart); return f, err }}, nil
}

// closeSources closes files that are open already.
func closeSources(files []source) {
	for _, f := range files {
		if r, err := f.open(); err == nil {
			_ = r.Close()
		}
	}
}

// clusterSnapshotsOf is where a restore lays the snapshots of clusters down.
func clusterSnapshotsOf(c *config.Config) string { return filepath.Join(c.Dir, clusterSnapshotDir) }

// publishClusterSnapshots moves the snapshots of clusters of a restored backup to where skyd keeps them.
func publishClusterSnapshots(c *config.Config, m Manifest) error {
	if m.ClusterSnapshots() == 0 {
		return nil
	}
	return os.Rename(filepath.Join(c.RestoreDir(), clusterSnapshotDir), clusterSnapshotsOf(c))
}
