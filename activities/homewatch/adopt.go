package homewatch

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/home"
	"github.com/sky-shift/skyctl/pkg/operation"
)

func (w *Watch) Adopt(ctx context.Context, confirmed bool) (operation.AdoptResult, error) {
	before, err := w.Store.ReadHome(ctx)
	if err != nil {
		return operation.AdoptResult{}, err
	}
	clusters, err := w.listReadyClusters(ctx)
	if err != nil {
		return operation.AdoptResult{}, err
	}
	r := operation.AdoptResult{Before: before, After: before,
		Findings: home.CompareRecords(before, w.Here, w.readLedger(before.Installation))}
	r.Findings = append(r.Findings, w.exchangeAllMarks(ctx, before, clusters, nil, &r)...)
	for _, f := range lastingFindings(before.Doubt) { // the machine that reported it may be unreachable by now
		if !slices.Contains(r.Findings, f) {
			r.Findings = append(r.Findings, f)
		}
	}
	if !confirmed {
		return r, nil
	}
	if before.Doubt != nil || len(r.Findings) > 0 {
		if r.After, err = w.recordAdoption(ctx, r.Findings); err != nil {
			return r, err
		}
	} else {
		w.writeLedger(before) // completes an adoption that was interrupted
	}
	mark := home.MarkOf(r.After)
	left := w.exchangeAllMarks(ctx, r.After, clusters, &mark, &r)
	if len(left) > 0 { // another state was adopted at the same moment
		_, err = w.recordDoubt(ctx, r.After, left...)
	}
	return r, err
}

func (w *Watch) recordAdoption(ctx context.Context, found []api.HomeFinding) (api.Home, error) {
	h, err := w.Store.UpdateHome(ctx, func(h *api.Home) error {
		number := h.Starts
		for _, f := range found {
			number = max(number, f.Starts)
		}
		w.setStartNumber(h, number+1)
		h.Doubt, h.AdoptedAt = nil, w.Now()
		return nil
	})
	if err != nil {
		return h, err
	}
	w.writeLedger(h)
	w.cacheDoubt(nil)
	e := api.Event{Type: api.EventNormal, Reason: "HomeAdopted",
		Message: fmt.Sprintf("this state is now the installation's home (start %d)", h.Starts)}
	e.First, e.Last = w.Now(), w.Now()
	activities.RecordEvent(ctx, w.Store, e)
	return h, nil
}

// exchangeAllMarks exchanges marks with a machine of every cluster, and records in r which clusters answered. If ours
// is nil it writes no marks. It returns the findings that contradict this state.
func (w *Watch) exchangeAllMarks(ctx context.Context, h api.Home, clusters []api.Cluster, ours *home.Mark,
	r *operation.AdoptResult) []api.HomeFinding {
	findings := make([]*api.HomeFinding, len(clusters))
	failures := make([]error, len(clusters))
	var group errgroup.Group
	group.SetLimit(marksAtOnce)
	for i := range clusters {
		group.Go(func() error {
			findings[i], failures[i] = w.exchangeClusterMarks(ctx, h, clusters[i].Ref(), ours)
			if failures[i] == nil && ours != nil {
				w.recordAnswer(clusters[i].Metadata.UID)
			}
			return nil
		})
	}
	_ = group.Wait()
	r.Marked, r.Unreached = nil, nil
	var found []api.HomeFinding
	for i, c := range clusters {
		switch {
		case failures[i] != nil:
			r.Unreached = append(r.Unreached, c.Metadata.Name)
		case ours != nil:
			r.Marked = append(r.Marked, c.Metadata.Name)
		}
		if f := findings[i]; f != nil {
			found = append(found, *f)
		}
	}
	return found
}
