package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/filters"
)

// Scratch containers and networks exist for a moment. A process can be killed at any instant and leave them behind, so
// each one has a label that says what it is for. It is created under a lock: whoever holds that lock knows that those
// which still exist have no owner.
const (
	// LabelScratch is the purpose, labelScratchBy the processes that share the purpose's lock.
	LabelScratch   = "skyctl-scratch"
	labelScratchBy = "skyctl-scratch-by"
)

// Purpose is what scratch containers or networks are for.
type Purpose struct {
	Name string
	// Lock is held by the process that uses them.
	Lock string
	// Lifetime is longer than any of them is used: older ones have no owner, whoever created them.
	Lifetime time.Duration
}

// ScratchLabels are the labels of scratch objects.
func (e *Engine) ScratchLabels(p Purpose) map[string]string {
	return map[string]string{LabelScratch: p.Name, labelScratchBy: e.lockDomain()}
}

// lockDomain identifies the processes that wait for the same locks: this user's on this computer.
func (e *Engine) lockDomain() string {
	machine, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		host, _ := os.Hostname()
		machine = []byte(host)
	}
	dir, err := filepath.Abs(e.lockDir)
	if err != nil {
		dir = e.lockDir
	}
	sum := sha256.Sum256([]byte(strings.TrimSpace(string(machine)) + " " + dir))
	return hex.EncodeToString(sum[:8])
}

// RemoveScratch removes the scratch containers that a killed process left. The caller holds the purpose's lock, so this
// user's have no owner; those of other users are removed once they are older than the purpose's lifetime.
func (e *Engine) RemoveScratch(ctx context.Context, p Purpose) {
	left, err := e.ListContainers(ctx, filters.Arg("label", LabelScratch+"="+p.Name))
	if err != nil {
		return // this only tidies up: the caller's next step reports an engine that does not answer
	}
	for _, s := range left {
		if e.IsAbandonedScratch(p, s.Labels, time.Unix(s.Created, 0)) {
			e.DiscardContainer(ctx, s.ID)
		}
	}
}

// RemoveFreeScratch removes the scratch containers of each purpose whose lock nobody holds.
func (e *Engine) RemoveFreeScratch(ctx context.Context, purposes ...Purpose) {
	for _, p := range purposes {
		if unlock, free := e.TryLock(p.Lock); free { // the holder removes them itself
			e.RemoveScratch(ctx, p)
			unlock()
		}
	}
}

// DescribeScratch returns a sentence for each scratch container that has no owner any more.
func (e *Engine) DescribeScratch(ctx context.Context, purposes ...Purpose) ([]string, error) {
	found, err := e.ListContainers(ctx, filters.Arg("label", LabelScratch))
	if err != nil {
		return nil, e.WrapError("look for leftover containers", err)
	}
	var described []string
	for _, s := range found {
		i := slices.IndexFunc(purposes, func(p Purpose) bool { return p.Name == s.Labels[LabelScratch] })
		if i < 0 {
			continue
		}
		if s.Labels[labelScratchBy] == e.lockDomain() {
			unlock, free := e.TryLock(purposes[i].Lock)
			if !free {
				continue // it is in use
			}
			unlock()
		} else if !purposes[i].isOutlived(time.Unix(s.Created, 0)) {
			continue
		}
		described = append(described, fmt.Sprintf("left over: container %.12s (%s) of an interrupted step; the next "+
			"step of this kind removes it", s.ID, purposes[i].Name))
	}
	return described, nil
}

// IsAbandonedScratch reports whether a scratch object has no owner any more. The caller holds the purpose's lock.
func (e *Engine) IsAbandonedScratch(p Purpose, labels map[string]string, created time.Time) bool {
	return labels[labelScratchBy] == e.lockDomain() || p.isOutlived(created)
}

func (p Purpose) isOutlived(created time.Time) bool { return time.Since(created) > p.Lifetime }
