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

// NotFoundError says that a cluster, or a part of it, is not in the store. That includes a stored cluster with another
// UID than the requested one.
type NotFoundError struct {
	Cluster string
	// What is the missing part ("machine 3", "secret kubeconfig"); empty for the cluster itself.
	What string
}

func (e *NotFoundError) Error() string {
	if e.What == "" {
		return fmt.Sprintf("cluster %q does not exist", e.Cluster)
	}
	return fmt.Sprintf("cluster %q has no %s", e.Cluster, e.What)
}

// ReasonClusterGone is the reason of a NotFoundError about a cluster: it was deleted, or a new cluster has its name.
const ReasonClusterGone = "ClusterGone"

// Reason is ReasonClusterGone, or NotStored if only a part of the cluster is missing.
func (e *NotFoundError) Reason() string {
	if e.What == "" {
		return ReasonClusterGone
	}
	return "NotStored"
}

// Final is true: no running step will store it.
func (e *NotFoundError) Final() bool { return true }

// ExistsError says that a cluster with that name already exists. Existing has no machines.
type ExistsError struct{ Existing *api.Cluster }

func (e *ExistsError) Error() string {
	return fmt.Sprintf("cluster %q already exists (%s)", e.Existing.Metadata.Name, e.Existing.Status.Phase)
}

// StaleError says that the incarnation to change was replaced by another one.
type StaleError struct {
	Machine     string
	Incarnation string // the one to change
	Current     string // the stored one
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
	Incarnation string // the one to store
	Current     string // the stored one
	State       api.MachineState
}

func (e *OccupiedError) Error() string {
	return fmt.Sprintf("machine %s: incarnation %s cannot replace %s, which may still exist (%s): "+
		"terminate %[3]s first",
		e.Machine, e.Incarnation, e.Current, e.State)
}

// NotGoneError says that the record of a machine cannot be removed, because nothing says that the machine is gone.
type NotGoneError struct {
	Machine string
	State   api.MachineState
}

func (e *NotGoneError) Error() string {
	return fmt.Sprintf("the record of machine %s cannot be removed: its state is %s, not Gone; terminate it first",
		e.Machine, e.State)
}

// Reason is NotGone.
func (e *NotGoneError) Reason() string { return "NotGone" }

// Final is true: nothing but a termination changes that.
func (e *NotGoneError) Final() bool { return true }

// CorruptError names keys whose values cannot be decoded.
type CorruptError struct {
	Keys  []string
	Cause error
}

func (e *CorruptError) Error() string {
	cause := strings.ReplaceAll(e.Cause.Error(), "\n", "; ")
	return fmt.Sprintf("invalid data in etcd under %s: %s", strings.Join(e.Keys, ", "), cause)
}

func (e *CorruptError) Unwrap() error { return e.Cause }

// Reason is Unreadable.
func (e *CorruptError) Reason() string { return secretbox.ReasonUnreadable }

// Final is true: reading it again returns the same data.
func (e *CorruptError) Final() bool { return true }

// ClusterNames returns the names of the clusters whose own objects are among the keys, in the order of the keys.
func (e *CorruptError) ClusterNames() []string {
	var names []string
	for _, key := range e.Keys {
		if dir, name := path.Split(key); strings.HasSuffix(dir, "/clusters/") {
			names = append(names, name)
		}
	}
	return names
}

// CorruptClusterNames returns the names of the clusters whose objects cannot be decoded, if err is a *CorruptError.
func CorruptClusterNames(err error) []string {
	if corrupt := new(CorruptError); errors.As(err, &corrupt) {
		return corrupt.ClusterNames()
	}
	return nil
}

// joinCorruptErrors joins errors into one, and returns nil if there are none.
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
