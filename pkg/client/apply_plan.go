package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/manifest"
	"github.com/sky-shift/skyctl/pkg/operation"
	"github.com/sky-shift/skyctl/pkg/plan"
	"github.com/sky-shift/skyctl/pkg/store"
)

// ApplyKind is what an apply does with a cluster.
type ApplyKind string

// The kinds of an apply.
const (
	ApplyCreate ApplyKind = "create"
	ApplyChange ApplyKind = "change"
	// ApplyResume goes on with a create that failed or was interrupted.
	ApplyResume ApplyKind = "resume"
	// ApplySame: the cluster is as its file says.
	ApplySame ApplyKind = "same"
)

// ApplyPlan is what an apply of one document does.
type ApplyPlan struct {
	Name     string
	Kind     ApplyKind
	Document manifest.Document
	// Before is the cluster as it was read, with its machines; nil if it does not exist. After is the wanted one. If
	// the change is refused, it is what was asked for.
	Before, After *api.Cluster
	Differences   []ApplyDifference
	// Steps are what follows, machine by machine; those of a create have a pool each, and none for the servers.
	Steps []plan.Step
	// Prices are those of a new machine by pool, and PriceBefore and PriceAfter those of the whole cluster, in US
	// dollars per hour.
	Prices                  map[string]float64
	PriceBefore, PriceAfter float64
	// Warnings may do harm to a new cluster.
	Warnings []api.Finding
	// edited: a person has edited the cluster, and no file is applied.
	edited bool
}

// ApplyDifference is a field that an apply changes.
type ApplyDifference struct {
	api.FieldDifference
	// ChangedSince: another command has changed the field since the last apply, which set it to LastApplied.
	ChangedSince bool
	LastApplied  string
}

// EndsMachines reports whether machines leave or are replaced.
func (p ApplyPlan) EndsMachines() bool {
	return slices.ContainsFunc(p.Steps, func(s plan.Step) bool {
		return s.Kind == api.ActionRemove || s.Kind == api.ActionReplace
	})
}

// PlanOptions are the options of PlanApply.
type PlanOptions struct {
	// CompleteNew fills in what the file of a new cluster leaves out, such as releases from settings; nil does nothing.
	CompleteNew func(*api.ClusterSpec)
	// Accept can refuse the worker that carries out the operations; nil accepts all. It is called once at a time.
	Accept func(*operation.WorkerInfo) error
	// EditOf is set for an edit: the text of LastApplied of the document with which the person began. Then what the
	// person removed goes back to its default, whoever set it.
	EditOf string
}

// plansAtOnce bounds the questions to clouds that run at the same time.
const plansAtOnce = 4

// PlanApply says for each document what an apply of it does. It validates all documents, reads their clusters, and asks
// the clouds about new machines; it writes nothing. Its errors are those of all documents, joined, with their places in
// the files. Plans of documents with errors have their differences, and may lack the rest.
func (c *Client) PlanApply(ctx context.Context, docs []manifest.Document, o PlanOptions) ([]ApplyPlan, error) {
	s, err := c.ConnectStore(ctx)
	if err != nil {
		return nil, err
	}
	if err := refuseRepeatedNames(docs); err != nil {
		return nil, err
	}
	plans := make([]ApplyPlan, len(docs))
	errs := make([]error, len(docs))
	for i, doc := range docs {
		plans[i] = ApplyPlan{Name: doc.Name, Document: doc, edited: o.EditOf != ""}
		before, err := s.ReadCluster(ctx, doc.Name)
		switch {
		case isClusterMissing(err) && o.EditOf == "":
			errs[i] = plans[i].planCreate(c, o)
			if errs[i] == nil {
				errs[i] = doc.LocateErrors(c.CheckSecretReferences(ctx, plans[i].After.Spec))
			}
		case err != nil:
			return nil, err
		default:
			errs[i] = c.planChange(ctx, &plans[i], before, o)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return plans, err
	}
	return plans, c.planMachines(ctx, plans, o)
}

// refuseRepeatedNames refuses two documents for the same cluster.
func refuseRepeatedNames(docs []manifest.Document) error {
	var errs []error
	first := map[string]manifest.Document{}
	for _, doc := range docs {
		if other, twice := first[doc.Name]; twice {
			errs = append(errs, doc.LocateErrors(&api.FieldError{Field: "metadata.name", Value: doc.Name,
				Want: fmt.Sprintf("each cluster once; it is in %s:%d too", other.Source, other.Line)}))
			continue
		}
		first[doc.Name] = doc
	}
	return errors.Join(errs...)
}

func (p *ApplyPlan) planCreate(c *Client, o PlanOptions) error {
	wanted, err := p.Document.NewCluster(c.now())
	if err != nil {
		return err // it names places
	}
	if o.CompleteNew != nil {
		o.CompleteNew(&wanted.Spec)
		wanted.Spec.SetDefaults()
	}
	p.Kind, p.After = ApplyCreate, wanted
	wanted.Metadata.LastApplied, wanted.Metadata.CreatedByApply = p.Document.LastApplied(), true
	for _, d := range api.CompareClusters(&api.Cluster{}, wanted) {
		if d.Path != "metadata.name" && d.After != "" {
			d.Before = "" // a default of a cluster that is not there
			p.Differences = append(p.Differences, ApplyDifference{FieldDifference: d})
		}
	}
	tooSmall := errors.Join(api.LocateServerErrors(wanted.Spec.ControlPlaneGroup().CheckServerSize())...)
	return p.Document.LocateErrors(errors.Join(api.ValidateName(p.Name), wanted.Validate(), tooSmall))
}

// planChange finds out what becomes of a cluster that exists.
func (c *Client) planChange(ctx context.Context, p *ApplyPlan, before *api.Cluster, o PlanOptions) error {
	merged := *before
	if o.EditOf != "" {
		merged.Metadata.LastApplied = o.EditOf
	}
	spec, labels, err := p.Document.MergeInto(&merged)
	if err != nil {
		return err // it names places
	}
	after := copyForChange(before)
	refused := after.ChangeTo(spec, labels, c.now())
	if refused != nil {
		after.Spec, after.Metadata.Labels = spec, labels
	}
	p.Before, p.After = before, after
	p.Differences = p.findDifferences()
	p.Kind = ApplySame
	if len(p.Differences) > 0 {
		p.Kind = ApplyChange
	}
	if refused == nil {
		refused = c.checkNewSecretReferences(ctx, before.Spec, after.Spec)
	}
	if refused != nil {
		return p.Document.LocateErrors(refused)
	}
	if !p.edited {
		after.Metadata.LastApplied = p.Document.LastApplied()
	}
	return c.refusePhase(ctx, p)
}

// copyForChange returns a copy of a cluster on which a change can be tried.
func copyForChange(c *api.Cluster) *api.Cluster {
	tried := *c
	tried.Spec, tried.Metadata.Labels = c.Spec.Clone(), maps.Clone(c.Metadata.Labels)
	tried.Status.Machines, tried.Status.Pools = slices.Clone(c.Status.Machines), slices.Clone(c.Status.Pools)
	return &tried
}

// refusePhase refuses a cluster that cannot change now, and finds creates that have to be resumed.
func (c *Client) refusePhase(ctx context.Context, p *ApplyPlan) error {
	phase := p.Before.Status.Phase
	idle := false
	switch {
	case phase == api.PhaseError && !p.Before.Status.CanBeRepaired():
		idle = true
	case p.Kind == ApplySame && (phase == api.PhaseInit || phase == api.PhaseProvisioning):
		_, t, err := c.connectServers(ctx)
		if err != nil {
			return err
		}
		run, err := c.readLatestRun(ctx, t, p.Name)
		if err != nil {
			return err
		}
		idle = !run.open
	}
	why := p.Before.RefuseSpecChange()
	switch {
	case idle && p.Kind == ApplySame && !p.edited:
		p.Kind = ApplyResume
	case phase == api.PhaseDeleting, why != "" && p.Kind != ApplySame:
		return &store.UnchangeableError{Cluster: p.Name, Phase: phase, Why: why}
	}
	return nil
}

// findDifferences compares the cluster with what is wanted, and with what was applied last.
func (p *ApplyPlan) findDifferences() []ApplyDifference {
	since := map[string]string{}
	if applied := p.readLastApplied(); applied != nil {
		for _, d := range api.CompareClusters(applied, p.Before) {
			since[d.Path] = d.Before
		}
	}
	var all []ApplyDifference
	for _, d := range api.CompareClusters(p.Before, p.After) {
		last, changed := since[d.Path]
		all = append(all, ApplyDifference{FieldDifference: d, LastApplied: last,
			ChangedSince: changed && d.Change.Way != api.ChangeNever})
	}
	return all
}

// readLastApplied returns the cluster that the last apply asked for; nil if there was none. Then, or if this version
// cannot read it, the differences are shown without it.
func (p *ApplyPlan) readLastApplied() *api.Cluster {
	if p.Before.Metadata.LastApplied == "" || p.edited {
		return nil
	}
	wanted := struct {
		Labels json.RawMessage `json:"labels,omitempty"`
		Spec   json.RawMessage `json:"spec"`
	}{Spec: json.RawMessage("{}")}
	if json.Unmarshal([]byte(p.Before.Metadata.LastApplied), &wanted) != nil {
		return nil
	}
	metadata := map[string]any{"name": p.Name}
	if wanted.Labels != nil {
		metadata["labels"] = wanted.Labels
	}
	file, err := json.Marshal(map[string]any{"apiVersion": api.APIVersion, "kind": api.Kind, "metadata": metadata,
		"spec": wanted.Spec})
	if err != nil {
		return nil
	}
	docs, err := manifest.Parse("the last apply", file)
	if err != nil || len(docs) != 1 {
		return nil
	}
	applied, err := docs[0].NewCluster(p.Before.Metadata.CreatedAt)
	if err != nil {
		return nil
	}
	p.keepReplicasOf(docs[0], applied)
	return applied
}

// keepReplicasOf sets the replicas of pools of which a file gave none to what they are: the file left them to other
// commands.
func (p *ApplyPlan) keepReplicasOf(file manifest.Document, applied *api.Cluster) {
	merged, _, err := file.MergeInto(p.Before)
	if err != nil {
		return
	}
	for i := range applied.Spec.Pools {
		pool := &applied.Spec.Pools[i]
		if now := merged.FindPool(pool.Name); now != nil {
			pool.Replicas = now.Replicas
		}
	}
}
