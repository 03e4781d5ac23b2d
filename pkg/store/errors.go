package store

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store/etcd"
	"github.com/sky-shift/skyctl/pkg/store/secretbox"
)

// NotFoundError says that a cluster, or something of it, is not in the store. A cluster that was asked for by another
// UID than the stored one's is not found either.
type NotFoundError struct {
	Cluster string
	// What of the cluster is missing ("machine 3", "secret kubeconfig"); empty for the cluster itself.
	What string
}

func (e *NotFoundError) Error() string {
	if e.What == "" {
		return fmt.Sprintf("cluster %q does not exist", e.Cluster)
	}
	return fmt.Sprintf("cluster %q has no %s", e.Cluster, e.What)
}

// ReasonClusterGone is the reason of a NotFoundError about a cluster: it was deleted, or another one has its name.
const ReasonClusterGone = "ClusterGone"

// Reason is ReasonClusterGone, or NotStored where only a part of the cluster is missing.
func (e *NotFoundError) Reason() string {
	if e.What == "" {
		return ReasonClusterGone
	}
	return "NotStored"
}

// Final is true: no running step would store it.
func (e *NotFoundError) Final() bool { return true }

// ExistsError says that a cluster of that name is there already; Existing is it, without machines.
type ExistsError struct{ Existing *api.Cluster }

func (e *ExistsError) Error() string {
	return fmt.Sprintf("cluster %q exists already (%s)", e.Existing.Metadata.Name, e.Existing.Status.Phase)
}

// StaleError says that the incarnation that should be changed was replaced by another one.
type StaleError struct {
	Machine     string
	Incarnation string // the one that was to be changed
	Current     string // the one that is there
}

func (e *StaleError) Error() string {
	return fmt.Sprintf("machine %s: incarnation %s was replaced by %s", e.Machine, e.Incarnation, e.Current)
}

// Reason is Replaced.
func (e *StaleError) Reason() string { return "Replaced" }

// Final is true: the incarnation does not come back.
func (e *StaleError) Final() bool { return true }

// OccupiedError says that a machine cannot be stored because another incarnation with its index may still exist.
type OccupiedError struct {
	Machine     string
	Incarnation string // the one that was to be stored
	Current     string // the one that is there
	State       api.MachineState
}

func (e *OccupiedError) Error() string {
	return fmt.Sprintf("machine %s: incarnation %s can't take the place of %s, which may still exist (%s): "+
		"terminate that one first",
		e.Machine, e.Incarnation, e.Current, e.State)
}

// CorruptError names keys whose values cannot be decoded.
type CorruptError struct {
	Keys  []string
	Cause error
}

func (e *CorruptError) Error() string {
	cause := strings.ReplaceAll(e.Cause.Error(), "\n", "; ")
	return fmt.Sprintf("etcd holds what can't be understood under %s: %s", strings.Join(e.Keys, ", "), cause)
}

func (e *CorruptError) Unwrap() error { return e.Cause }

// Reason is Unreadable.
func (e *CorruptError) Reason() string { return secretbox.ReasonUnreadable }

// Final is true: reading it again gives the same.
func (e *CorruptError) Final() bool { return true }

// ClusterNames names the clusters whose own objects are among the keys, in their order.
func (e *CorruptError) ClusterNames() []string {
	var names []string
	for _, key := range e.Keys {
		if dir, name := path.Split(key); strings.HasSuffix(dir, "/clusters/") {
			names = append(names, name)
		}
	}
	return names
}

// CorruptClusterNames names the clusters whose objects can't be understood, where err is that of a list; none where it
// is about something else.
func CorruptClusterNames(err error) []string {
	if corrupt := new(CorruptError); errors.As(err, &corrupt) {
		return corrupt.ClusterNames()
	}
	return nil
}

// joinCorruptErrors makes one error of many; nil of none.
func joinCorruptErrors(all []*CorruptError) error {
	if len(all) == 0 {
		return nil
	}
	joined := &CorruptError{}
	var causes []error
	for _, e := range all {
		joined.Keys = append(joined.Keys, e.Keys...)
		causes = append(causes, e.Cause)
	}
	joined.Cause = errors.Join(causes...)
	return joined
}

// UnavailableError says that etcd does not answer.
type UnavailableError = etcd.UnavailableError

// WrongKeyError says that a secret was encrypted with a key other than the Store's.
type WrongKeyError = secretbox.WrongKeyError

// ErrNoKey says that the Store has no secrets key.
var ErrNoKey = secretbox.ErrNoKey
