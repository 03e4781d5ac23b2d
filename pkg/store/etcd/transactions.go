package etcd

import (
	"context"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/connectivity"
)

// limitCall gives an exchange with etcd a time limit of its own, or keeps its caller's if that is earlier. The client
// waits for a server forever; a caller with an hour left should hear within seconds that etcd is down. A patient client
// waits longer while the connection stands.
func (c *Client) limitCall(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.patience <= callTimeout {
		return context.WithTimeout(ctx, callTimeout)
	}
	call, cancel := context.WithTimeout(ctx, c.patience)
	go func() {
		check := time.NewTicker(callTimeout)
		defer check.Stop()
		for {
			select {
			case <-call.Done():
				return
			case <-check.C:
				if c.client.ActiveConnection().GetState() != connectivity.Ready {
					cancel()
					return
				}
				c.onSlow()
			}
		}
	}()
	return call, cancel
}

// Get reads a key or, with an option, a range. doing describes the operation in errors.
func (c *Client) Get(ctx context.Context, doing, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse,
	error) {
	call, cancel := c.limitCall(ctx)
	defer cancel()
	resp, err := c.client.Get(call, key, opts...)
	if err != nil {
		return nil, c.wrapError(ctx, doing, err)
	}
	return resp, nil
}

// Commit executes then if all of when is true, and otherwise the last operations, in one step.
func (c *Client) Commit(ctx context.Context, doing string, when []clientv3.Cmp, then,
	otherwise []clientv3.Op) (*clientv3.TxnResponse, error) {
	call, cancel := c.limitCall(ctx)
	defer cancel()
	resp, err := c.client.Txn(call).If(when...).Then(then...).Else(otherwise...).Commit()
	if err != nil {
		return nil, c.wrapError(ctx, doing, err)
	}
	return resp, nil
}

// Grant creates a lease: the keys that are put with it are deleted after that time.
func (c *Client) Grant(ctx context.Context, doing string, ttl time.Duration) (clientv3.LeaseID, error) {
	call, cancel := c.limitCall(ctx)
	defer cancel()
	resp, err := c.client.Grant(call, int64(ttl.Seconds()))
	if err != nil {
		return 0, c.wrapError(ctx, doing, err)
	}
	return resp.ID, nil
}

// Watch streams changes until the context ends or the stream breaks; its last response then has an error.
func (c *Client) Watch(ctx context.Context, key string, opts ...clientv3.OpOption) clientv3.WatchChan {
	return c.client.Watch(ctx, key, opts...)
}

// RangeResult is what read i of a transaction found.
func RangeResult(resp *clientv3.TxnResponse, i int) []*mvccpb.KeyValue {
	if i >= len(resp.Responses) {
		return nil
	}
	return resp.Responses[i].GetResponseRange().GetKvs()
}

// FirstKV is the key that read i of a transaction found, nil if it does not exist.
func FirstKV(resp *clientv3.TxnResponse, i int) *mvccpb.KeyValue { return first(RangeResult(resp, i)) }

func first(kvs []*mvccpb.KeyValue) *mvccpb.KeyValue {
	if len(kvs) == 0 {
		return nil
	}
	return kvs[0]
}

// GroupOps nests operations so that a transaction can have thousands of them: etcd limits each level to 128
// (--max-txn-ops). Nested operations are still part of the one step.
func GroupOps(ops []clientv3.Op) []clientv3.Op {
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
