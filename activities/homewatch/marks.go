package homewatch

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/home"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/sshtarget"
	"github.com/sky-shift/skyctl/pkg/store"
)

// MarkMachines exchanges marks with a machine of each READY cluster, once after a start.
func (w *Watch) MarkMachines(ctx context.Context) {
	all, err := w.listReadyClusters(ctx)
	if err == nil {
		err = w.confirmByMarks(ctx, all)
	}
	if doubt := new(DoubtError); err != nil && ctx.Err() == nil && !errors.As(err, &doubt) {
		w.Log.Warn("could not write the mark of this start to the machines of all clusters", "error", err)
	}
}

func (w *Watch) listReadyClusters(ctx context.Context) ([]api.Cluster, error) {
	all, err := w.Store.ListClusters(ctx)
	if err != nil && len(store.CorruptClusterNames(err)) == 0 {
		return nil, err
	}
	return slices.DeleteFunc(all, func(c api.Cluster) bool { return c.Status.Phase != api.PhaseReady }), nil
}

// confirmByMarks exchanges marks with a machine of each of the clusters, unless one answered recently.
func (w *Watch) confirmByMarks(ctx context.Context, clusters []api.Cluster) error {
	h, err := w.Store.ReadHome(ctx)
	if err != nil {
		return err
	}
	if h.Doubt != nil {
		return &DoubtError{h.Doubt}
	}
	mark := home.MarkOf(h)
	found := make([]*api.HomeFinding, len(clusters))
	var group errgroup.Group
	group.SetLimit(marksAtOnce)
	for i := range clusters {
		c := &clusters[i]
		if w.answeredRecently(c.Metadata.UID) {
			continue
		}
		group.Go(func() error {
			f, err := w.exchangeClusterMarks(ctx, h, c.Ref(), &mark)
			if err != nil { // an unreachable cluster says nothing about the home
				w.Log.Debug("no machine of a cluster returned its mark", "cluster", c.Metadata.Name,
					"error", err)
				return nil
			}
			w.recordAnswer(c.Metadata.UID)
			found[i] = f
			return nil
		})
	}
	_ = group.Wait()
	for _, f := range found {
		if f == nil {
			continue
		}
		if h, err = w.recordDoubt(ctx, h, *f); err != nil {
			return err
		}
		w.cacheDoubt(h.Doubt)
		if h.Doubt != nil {
			return &DoubtError{h.Doubt}
		}
	}
	return ctx.Err()
}

func (w *Watch) answeredRecently(uid string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	answeredAt, ok := w.answeredAt[uid]
	return ok && w.Now().Sub(answeredAt) < homeMarkInterval
}

func (w *Watch) recordAnswer(uid string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.answeredAt == nil {
		w.answeredAt = map[string]time.Time{}
	}
	w.answeredAt[uid] = w.Now()
}

// exchangeClusterMarks exchanges marks with the first machines of a cluster, all at the same time. It returns the
// finding with the highest start that contradicts this state; nil if there is none. It fails if no machine answers.
func (w *Watch) exchangeClusterMarks(ctx context.Context, h api.Home, ref api.Ref,
	ours *home.Mark) (*api.HomeFinding, error) {
	c, err := activities.ReadCluster(ctx, w.Store, ref) // listed clusters have no machines
	if err != nil {
		return nil, err
	}
	key, err := w.Store.ReadSecret(ctx, c.Ref(), store.SecretSSHKey)
	if err != nil {
		return nil, err
	}
	machines := slices.DeleteFunc(slices.Clone(c.Status.Machines), func(m api.Machine) bool {
		return m.Address == "" || m.HostKey == "" || !m.State.MayExist()
	})
	slices.SortFunc(machines, func(a, b api.Machine) int { return cmp.Compare(a.Index, b.Index) })
	machines = machines[:min(machinesTried, len(machines))]
	marks, failures := make([]*home.Mark, len(machines)), make([]error, len(machines))
	var group sync.WaitGroup
	for i := range machines {
		group.Go(func() { marks[i], failures[i] = w.exchangeMachineMark(ctx, c, &machines[i], key, ours) })
	}
	group.Wait()
	if !slices.Contains(failures, nil) {
		return nil, errors.Join(append(failures, errors.New("no machine of the cluster answers"))...)
	}
	var most *api.HomeFinding
	for i, seen := range marks {
		if f := home.CompareMark(h, machines[i].Name, seen); f != nil && (most == nil || f.Starts > most.Starts) {
			most = f
		}
	}
	return most, nil
}

func (w *Watch) exchangeMachineMark(ctx context.Context, c *api.Cluster, m *api.Machine, key []byte,
	ours *home.Mark) (*home.Mark, error) {
	ctx, cancel := context.WithTimeout(ctx, markTimeout)
	defer cancel()
	h, err := w.Pool.GetHost(ctx, sshtarget.Of(c, m), key)
	if err != nil {
		return nil, err
	}
	return home.ExchangeMarks(ctx, h, ours)
}

// WriteMachineMark writes the mark of this start on a machine that is being prepared.
func (w *Watch) WriteMachineMark(ctx context.Context, h *remote.Host) error {
	if w == nil {
		return nil
	}
	recorded, err := w.Store.ReadHome(ctx)
	if err != nil || recorded.Starts == 0 {
		return err
	}
	mark := home.MarkOf(recorded)
	_, err = home.ExchangeMarks(ctx, h, &mark)
	return err
}
