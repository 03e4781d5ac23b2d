package etcd

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// RetryConflicts calls try until it reports that it has written, or fails. Between calls it lets other writers of the
// same keys go first.
func RetryConflicts(ctx context.Context, doing string, try func() (written bool, err error)) error {
	for attempt := 0; ; attempt++ {
		if written, err := try(); err != nil || written {
			return err
		}
		if err := pauseBeforeRetry(ctx, attempt); err != nil {
			return fmt.Errorf("%s: %w", doing, err)
		}
	}
}

// pauseBeforeRetry does not pause after the first two conflicts. Then it pauses a little longer each time, for a random
// time, so that two writers do not meet again.
func pauseBeforeRetry(ctx context.Context, attempt int) error {
	if attempt < 2 {
		return ctx.Err()
	}
	longest := time.Millisecond << min(attempt, 5)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(rand.N(longest)):
		return nil
	}
}

// KeyUpdate describes how UpdateKey changes the value of a key.
type KeyUpdate[T any] struct {
	// Doing describes the operation in errors.
	Doing string
	Key   string
	// First is the key as the caller has just read it. If it is nil, UpdateKey reads the key.
	First *mvccpb.KeyValue
	// Decode gets nil if the key does not exist.
	Decode func(*mvccpb.KeyValue) (T, error)
	// Change may be called several times, each time with a value that was newly decoded.
	Change func(T) error
	// Encode also rejects changes that are not allowed.
	Encode func(T) ([]byte, error)
}

// UpdateKey reads a key, changes its value and writes it, unless the key was written in the meantime: then it starts
// again with the value that the failed transaction returned. A value that did not change is not written. UpdateKey
// returns the new value and the revision of its last write. Errors of Decode, Change and Encode are returned as they
// are, and nothing is written.
func UpdateKey[T any](ctx context.Context, c *Client, u KeyUpdate[T]) (value T, revision int64, err error) {
	kv := u.First
	if kv == nil {
		resp, err := c.Get(ctx, u.Doing, u.Key)
		if err != nil {
			return value, 0, err
		}
		kv = first(resp.Kvs)
	}
	err = RetryConflicts(ctx, u.Doing, func() (bool, error) {
		var written bool
		value, revision, written, err = tryUpdateKey(ctx, c, u, &kv)
		return written, err
	})
	if err != nil {
		var none T
		return none, 0, err
	}
	return value, revision, nil
}

// tryUpdateKey tries once. After a conflict, kv is the current key.
func tryUpdateKey[T any](ctx context.Context, c *Client, u KeyUpdate[T], kv **mvccpb.KeyValue) (value T, revision int64,
	written bool, err error) {
	if value, err = u.Decode(*kv); err != nil {
		return value, 0, false, err
	}
	if err = u.Change(value); err != nil {
		return value, 0, false, err
	}
	encoded, err := u.Encode(value)
	if err != nil {
		return value, 0, false, err
	}
	if *kv != nil && bytes.Equal(encoded, (*kv).Value) {
		return value, (*kv).ModRevision, true, nil
	}
	resp, err := c.Commit(ctx, u.Doing,
		[]clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(u.Key), "=", (*kv).GetModRevision())},
		[]clientv3.Op{clientv3.OpPut(u.Key, string(encoded))},
		[]clientv3.Op{clientv3.OpGet(u.Key)})
	if err != nil {
		return value, 0, false, err
	}
	*kv = FirstKV(resp, 0)
	return value, resp.Header.Revision, resp.Succeeded, nil
}

// UpdateRange reads the keys under a prefix, lets decide choose the operations, and executes them unless a key under
// the prefix was written in the meantime: then it starts again. The conditions of guard must also be true; it is called
// before each read and may be nil.
//
// The deletion of a key is not noticed: etcd can compare the revisions of the keys in a range, but not their number. So
// nothing else may delete single keys under the prefix, or what decide wrote because of such a key must do no harm.
func (c *Client) UpdateRange(ctx context.Context, doing, prefix string, guard func() ([]clientv3.Cmp, error),
	decide func([]*mvccpb.KeyValue) ([]clientv3.Op, error)) error {
	return RetryConflicts(ctx, doing, func() (bool, error) {
		var when []clientv3.Cmp
		if guard != nil {
			var err error
			if when, err = guard(); err != nil {
				return false, err
			}
		}
		resp, err := c.Get(ctx, doing, prefix, clientv3.WithPrefix())
		if err != nil {
			return false, err
		}
		ops, err := decide(resp.Kvs)
		if err != nil || len(ops) == 0 {
			return true, err
		}
		unchanged := clientv3.Compare(clientv3.ModRevision(prefix).WithPrefix(), "<", resp.Header.Revision+1)
		done, err := c.Commit(ctx, doing, append(when, unchanged), GroupOps(ops), nil)
		if err != nil {
			return false, err
		}
		return done.Succeeded, nil
	})
}
