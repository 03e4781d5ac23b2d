package store

import (
	"context"
	"math/rand/v2"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// withCallTimeout gives an exchange with etcd a deadline of its own, or keeps its caller's where that is earlier: the
// client waits for a server for ever, and a caller that has an hour should hear long before that etcd is down.
func withCallTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, callTimeout)
}

func (s *Store) getKeys(ctx context.Context, doing, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse,
	error) {
	call, cancel := withCallTimeout(ctx)
	defer cancel()
	resp, err := s.client.Get(call, key, opts...)
	if err != nil {
		return nil, s.wrapError(ctx, doing, err)
	}
	return resp, nil
}

func (s *Store) commitTxn(ctx context.Context, doing string, when []clientv3.Cmp, then,
	otherwise []clientv3.Op) (*clientv3.TxnResponse, error) {
	call, cancel := withCallTimeout(ctx)
	defer cancel()
	resp, err := s.client.Txn(call).If(when...).Then(then...).Else(otherwise...).Commit()
	if err != nil {
		return nil, s.wrapError(ctx, doing, err)
	}
	return resp, nil
}

// rangeResult is what read i of a transaction found.
func rangeResult(resp *clientv3.TxnResponse, i int) []*mvccpb.KeyValue {
	if i >= len(resp.Responses) {
		return nil
	}
	return resp.Responses[i].GetResponseRange().GetKvs()
}

// firstKV is the one key that read i of a transaction asked for, nil where it is not there.
func firstKV(resp *clientv3.TxnResponse, i int) *mvccpb.KeyValue {
	if kvs := rangeResult(resp, i); len(kvs) > 0 {
		return kvs[0]
	}
	return nil
}

// groupOps nests operations so that a transaction may have thousands: etcd counts 128 per level (its --max-txn-ops),
// and what is nested is still one step.
func groupOps(ops []clientv3.Op) []clientv3.Op {
	const perLevel = 60
	if len(ops) <= perLevel {
		return ops
	}
	var groups []clientv3.Op
	for len(ops) > 0 {
		n := min(perLevel, len(ops))
		groups = append(groups, clientv3.OpTxn(nil, ops[:n], nil))
		ops = ops[n:]
	}
	return groups
}

// pauseBeforeRetry lets other writers of the same key go first, a little longer each time, at random so that they part.
func pauseBeforeRetry(ctx context.Context, attempt int) error {
	if attempt < 2 {
		return ctx.Err()
	}
	most := time.Millisecond << min(attempt, 5)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(rand.N(most)):
		return nil
	}
}
