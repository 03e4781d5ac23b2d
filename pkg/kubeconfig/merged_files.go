package kubeconfig

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"

	"github.com/sky-shift/skyctl/pkg/personalfile"
	"github.com/sky-shift/skyctl/pkg/regularfile"
	"github.com/sky-shift/skyctl/pkg/yamltext"
)

// maxFileSize is the largest size of a kubeconfig, in bytes.
const maxFileSize = 8 << 20

// Merged says what a merge has done.
type Merged struct {
	// Path is the kubeconfig with the entries.
	Path string
	// Current reports whether the cluster's context is the current one.
	Current bool
	// OpenToOthers reports whether other users can read the file.
	OpenToOthers bool
	// SkyPilot reports whether SkyPilot may use the context, and SkyPilotContexts are those that its settings name.
	SkyPilot         bool
	SkyPilotContexts []string
	// SkyPilotElsewhere: SkyPilot's API server is elsewhere, and does not read this kubeconfig.
	SkyPilotElsewhere bool
}

// Merge puts the entries of a cluster into the person's kubeconfig and lets SkyPilot use them. dir is the directory of
// the cluster, in which the merge is recorded, so that skyd can renew the entries.
func (p Person) Merge(ctx context.Context, dir string, e *Entries) (Merged, error) {
	r, err := p.startRecord(ctx, dir, e.UID)
	if err != nil {
		return Merged{}, err
	}
	path, current := p.findTarget(e)
	r.add(path)
	r.SkyPilot, r.Wanted = p.SkyPilot, false
	if err := r.write(dir); err != nil {
		return Merged{}, err
	}
	if err := mergeInto(ctx, path, e, current == ""); err != nil {
		return Merged{}, err
	}
	_, now := p.findTarget(e)
	done := Merged{Path: path, Current: now == ContextName(e.Cluster), SkyPilotElsewhere: p.SkyPilotElsewhere}
	if info, err := os.Stat(path); err == nil {
		done.OpenToOthers = info.Mode().Perm()&0o077 != 0
	}
	if p.SkyPilot != "" {
		done.SkyPilot, done.SkyPilotContexts, err = allowInSkyPilot(ctx, p.SkyPilot, ContextName(e.Cluster), now)
		done.SkyPilotElsewhere = err == nil && !done.SkyPilot
	}
	return done, err
}

// Use merges the entries of a cluster and makes its context the current one.
func (p Person) Use(ctx context.Context, dir string, e *Entries) (Merged, error) {
	done, err := p.Merge(ctx, dir, e)
	if err != nil || done.Current {
		return done, err
	}
	_, previous := p.findTarget(e)
	if err := editKubeconfig(ctx, done.Path, func(text, _ []byte) ([]byte, error) {
		return RememberPrevious(text, e.UID, previous)
	}); err != nil {
		return done, err
	}
	first := p.DefaultFile()
	r, err := readRecord(dir)
	if err != nil {
		return done, err
	}
	if r == nil {
		r = &record{UID: e.UID, SkyPilot: p.SkyPilot}
	}
	for _, path := range p.Files { // the one with the former context is needed when this one goes
		r.add(path)
	}
	if err := r.write(dir); err != nil {
		return done, err
	}
	err = editKubeconfig(ctx, first, func(text, _ []byte) ([]byte, error) {
		changed, _, err := SetCurrent(text, e.Cluster)
		return changed, err
	})
	done.Current = err == nil
	return done, err
}

// WantMerge records that the entries of a cluster are to be merged by skyd once there is a kubeconfig.
func (p Person) WantMerge(ctx context.Context, dir, uid string) error {
	r, err := p.startRecord(ctx, dir, uid)
	if err != nil {
		return err
	}
	path := p.DefaultFile()
	r.add(path)
	r.SkyPilot, r.Wanted = p.SkyPilot, true
	return r.write(dir)
}

// startRecord reads the record of a cluster, or begins one. What a former cluster of that name has left is removed.
func (p Person) startRecord(ctx context.Context, dir, uid string) (*record, error) {
	r, err := readRecord(dir)
	if err != nil || r != nil && r.UID == uid {
		return r, err
	}
	return &record{UID: uid}, RemoveMerged(ctx, dir, "")
}

// Refresh renews the entries of a cluster in the files that its record lists, or merges those that are wanted. It
// changes only files of the user of this process: skyd may be somebody else, and then the next command does it.
// own is the cluster's own kubeconfig.
func Refresh(ctx context.Context, dir, cluster, uid string, own []byte) error {
	r, err := readRecord(dir)
	if err != nil || r == nil || r.UID != uid || !personalfile.IsOwn(recordPath(dir)) {
		return err
	}
	e, err := NewEntries(cluster, uid, own)
	if err != nil {
		return err
	}
	if r.Wanted && !slices.ContainsFunc(r.Files, personalfile.IsOfOther) {
		_, err := Person{Files: r.Files, SkyPilot: r.SkyPilot}.Merge(ctx, dir, e)
		return err
	}
	var errs []error
	for _, path := range r.Files {
		if personalfile.IsOwn(path) {
			errs = append(errs, editKubeconfig(ctx, path, func(text, _ []byte) ([]byte, error) {
				return renewEntries(text, e)
			}))
		}
	}
	return errors.Join(errs...)
}

// RemoveMerged takes the entries of a cluster out of the files that its record lists, and removes the record.
// SkyPilot's settings stay if no name of the cluster is given. It is for a command of a person: as root it changes the
// files of others, too.
func RemoveMerged(ctx context.Context, dir, cluster string) error {
	return removeMerged(ctx, dir, cluster, personalfile.IsOthers)
}

// RemoveOwnMerged is RemoveMerged for skyd, which changes only files of its own user, even as root.
func RemoveOwnMerged(ctx context.Context, dir, cluster string) error {
	if personalfile.IsOfOther(recordPath(dir)) {
		return nil
	}
	return removeMerged(ctx, dir, cluster, personalfile.IsOfOther)
}

func removeMerged(ctx context.Context, dir, cluster string, isOthers func(path string) bool) error {
	r, err := readRecord(dir)
	if err != nil || r == nil {
		return errors.Join(err, removeRecord(dir))
	}
	var texts [][]byte
	for _, path := range r.Files {
		if text, err := regularfile.Read(path, maxFileSize); err == nil {
			texts = append(texts, text)
		}
	}
	change := findContextChange(texts, r.UID)
	var errs []error
	var others []string
	for _, path := range r.Files {
		if isOthers(path) {
			others = append(others, path)
			continue
		}
		errs = append(errs, editKubeconfig(ctx, path, func(text, earlier []byte) ([]byte, error) {
			return Remove(text, earlier, r.UID, change)
		}))
	}
	isNamed := slices.ContainsFunc(texts, func(text []byte) bool { return hasOtherContext(text, cluster, r.UID) })
	if r.SkyPilot != "" && cluster != "" && !isNamed && !isOthers(r.SkyPilot) {
		_, current := Person{Files: r.Files}.findTarget(&Entries{})
		errs = append(errs, forbidInSkyPilot(ctx, r.SkyPilot, ContextName(cluster), current))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	switch {
	case len(others) == len(r.Files) && len(others) > 0:
		return nil // for a command of that person
	case len(others) > 0:
		r.Files, r.Wanted = others, false
		return r.write(dir)
	}
	return removeRecord(dir)
}

// findTarget returns the file that has the entries of a cluster, or gets them, and the current context of all files.
func (p Person) findTarget(e *Entries) (path, current string) {
	for _, name := range p.Files {
		text, err := regularfile.Read(name, maxFileSize)
		if err != nil {
			continue
		}
		d, err := yamltext.Parse(text)
		if err != nil {
			continue
		}
		if found, err := findEntries(d, e); path == "" && (err != nil || len(found.items) > 0) {
			path = name
		}
		if now, _ := d.ValueAt(currentContext).(string); current == "" {
			current = now
		}
	}
	if path == "" {
		path = p.DefaultFile()
	}
	return path, current
}

func mergeInto(ctx context.Context, path string, e *Entries, mayBeCurrent bool) error {
	_, err := personalfile.Apply(ctx, personalfile.Edit{Path: path, HasEntries: HasEntries,
		Lock: lockKubeconfig(path),
		Change: func(text, _ []byte) ([]byte, error) {
			return Merge(text, e, mayBeCurrent)
		}})
	return err
}

// editKubeconfig changes a kubeconfig that exists.
func editKubeconfig(ctx context.Context, path string, change func(text, earlier []byte) ([]byte, error)) error {
	_, err := personalfile.Apply(ctx, personalfile.Edit{Path: path, OnlyExisting: true, HasEntries: HasEntries,
		Lock: lockKubeconfig(path), Change: change})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func lockKubeconfig(path string) func(context.Context) (func(), error) {
	return func(ctx context.Context) (func(), error) { return personalfile.AcquireLockFile(ctx, path) }
}
