package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/sky-shift/skyctl/pkg/store/etcd"
	"github.com/sky-shift/skyctl/test/etcdserver"
)

// endpoint is the etcd that the tests share, each under its own prefix.
var endpoint string

func TestMain(m *testing.M) { etcdserver.Main(m, &endpoint) }

// world is a client that counts its requests, and the prefix of a test.
type world struct {
	*etcd.Client
	plain  *clientv3.Client
	prefix string
	calls  atomic.Int32
}

var prefixes atomic.Int64

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{prefix: fmt.Sprintf("/t%d/", prefixes.Add(1))}
	count := func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, next grpc.UnaryInvoker,
		opts ...grpc.CallOption) error {
		w.calls.Add(1)
		return next(ctx, method, req, reply, conn, opts...)
	}
	var err error
	w.plain, err = clientv3.New(clientv3.Config{Endpoints: []string{endpoint},
		DialOptions: []grpc.DialOption{grpc.WithChainUnaryInterceptor(count)}})
	must(t, err)
	t.Cleanup(func() { w.plain.Close() })
	w.Client = etcd.NewClient(w.plain)
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var errNoCounter = errors.New("no such counter")

// counterUpdate is an update of an existing counter.
func counterUpdate(key string, change func(*int) error) etcd.KeyUpdate[*int] {
	return etcd.KeyUpdate[*int]{
		Doing: "counting", Key: key, Change: change,
		Decode: func(kv *mvccpb.KeyValue) (*int, error) {
			if kv == nil {
				return nil, errNoCounter
			}
			n, err := strconv.Atoi(string(kv.Value))
			return &n, err
		},
		Encode: func(n *int) ([]byte, error) { return []byte(strconv.Itoa(*n)), nil },
	}
}

func increment(n *int) error { *n++; return nil }

func (w *world) put(t *testing.T, key, value string) {
	t.Helper()
	_, err := w.plain.Put(t.Context(), key, value)
	must(t, err)
}

func (w *world) get(t *testing.T, key string) string {
	t.Helper()
	resp, err := w.plain.Get(t.Context(), key)
	must(t, err)
	if len(resp.Kvs) == 0 {
		return ""
	}
	return string(resp.Kvs[0].Value)
}

func TestNoConcurrentKeyUpdateIsLost(t *testing.T) {
	w := newWorld(t)
	w.put(t, w.prefix, "0")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, _, err := etcd.UpdateKey(t.Context(), w.Client, counterUpdate(w.prefix, increment)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := w.get(t, w.prefix); got != "20" {
		t.Errorf("the counter is %s", got)
	}
}

func TestConflictRetriesWithNewValueInOneRequest(t *testing.T) {
	w := newWorld(t)
	w.put(t, w.prefix, "1")
	var seen []int
	w.calls.Store(0)
	n, revision, err := etcd.UpdateKey(t.Context(), w.Client, counterUpdate(w.prefix, func(n *int) error {
		if seen = append(seen, *n); len(seen) == 1 {
			w.put(t, w.prefix, "5") // one more request
		}
		return increment(n)
	}))
	must(t, err)
	if fmt.Sprint(seen) != "[1 5]" || *n != 6 || w.get(t, w.prefix) != "6" {
		t.Errorf("change got %v; the counter is %d", seen, *n)
	}
	if calls := w.calls.Load(); calls != 5 { // get, put of the test, txn, txn, get of the test
		t.Errorf("%d requests", calls)
	}
	resp, err := w.plain.Get(t.Context(), w.prefix)
	must(t, err)
	if resp.Kvs[0].ModRevision != revision {
		t.Errorf("written at revision %d, not %d", resp.Kvs[0].ModRevision, revision)
	}
}

func TestUnchangedValueIsNotWritten(t *testing.T) {
	w := newWorld(t)
	w.put(t, w.prefix, "7")
	before, err := w.plain.Get(t.Context(), w.prefix)
	must(t, err)
	w.calls.Store(0)
	update := counterUpdate(w.prefix, func(*int) error { return nil })
	update.First = before.Kvs[0]
	n, revision, err := etcd.UpdateKey(t.Context(), w.Client, update)
	must(t, err)
	if *n != 7 || revision != before.Kvs[0].ModRevision || w.calls.Load() != 0 {
		t.Errorf("%d at revision %d, with %d requests", *n, revision, w.calls.Load())
	}
}

func TestDeletedKeyIsDecodedAsNil(t *testing.T) {
	w := newWorld(t)
	if _, _, err := etcd.UpdateKey(t.Context(), w.Client, counterUpdate(w.prefix, increment)); err != errNoCounter {
		t.Errorf("a missing key: %v", err)
	}
	w.put(t, w.prefix, "1")
	_, _, err := etcd.UpdateKey(t.Context(), w.Client, counterUpdate(w.prefix, func(n *int) error {
		_, err := w.plain.Delete(t.Context(), w.prefix)
		return errors.Join(err, increment(n))
	}))
	if err != errNoCounter || w.get(t, w.prefix) != "" {
		t.Errorf("a key that was deleted at the same time: %v", err)
	}
}

func TestMissingKeyIsCreatedOnce(t *testing.T) {
	w := newWorld(t)
	update := counterUpdate(w.prefix, increment)
	decode := update.Decode
	update.Decode = func(kv *mvccpb.KeyValue) (*int, error) {
		if kv == nil {
			return new(int), nil
		}
		return decode(kv)
	}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if _, _, err := etcd.UpdateKey(t.Context(), w.Client, update); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := w.get(t, w.prefix); got != "10" {
		t.Errorf("the counter is %s", got)
	}
}

func TestChangeErrorIsReturnedUnchanged(t *testing.T) {
	w := newWorld(t)
	w.put(t, w.prefix, "1")
	refused := errors.New("refused")
	if _, _, err := etcd.UpdateKey(t.Context(), w.Client,
		counterUpdate(w.prefix, func(*int) error { return refused })); err != refused {
		t.Errorf("got error %v", err)
	}
}

func TestRangeUpdateRestartsAfterWrite(t *testing.T) {
	w := newWorld(t)
	w.put(t, w.prefix+"a", "1")
	guards, counts := 0, []int{}
	guard := func() ([]clientv3.Cmp, error) { guards++; return nil, nil }
	err := w.UpdateRange(t.Context(), "counting", w.prefix, guard,
		func(kvs []*mvccpb.KeyValue) ([]clientv3.Op, error) {
			if counts = append(counts, len(kvs)); len(counts) == 1 {
				w.put(t, w.prefix+"b", "1")
			}
			return []clientv3.Op{clientv3.OpPut(w.prefix+"sum", strconv.Itoa(len(kvs)))}, nil
		})
	must(t, err)
	if fmt.Sprint(counts) != "[1 2]" || guards != 2 || w.get(t, w.prefix+"sum") != "2" {
		t.Errorf("decide got %v keys; guard was called %d times; the sum is %s", counts, guards,
			w.get(t, w.prefix+"sum"))
	}
}

func TestRangeUpdateChecksGuard(t *testing.T) {
	w := newWorld(t)
	gone := errors.New("gone")
	tries := 0
	err := w.UpdateRange(t.Context(), "counting", w.prefix, func() ([]clientv3.Cmp, error) {
		if tries++; tries == 2 {
			return nil, gone
		}
		return []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(w.prefix+"owner"), ">", 0)}, nil
	}, func([]*mvccpb.KeyValue) ([]clientv3.Op, error) {
		return []clientv3.Op{clientv3.OpPut(w.prefix+"a", "1")}, nil
	})
	if err != gone || w.get(t, w.prefix+"a") != "" {
		t.Errorf("got error %v", err)
	}
}

func TestConflictsAreRetriedUntilTheContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	tries := 0
	err := etcd.RetryConflicts(ctx, "counting", func() (bool, error) {
		if tries++; tries == 5 {
			cancel()
		}
		return false, nil
	})
	if tries != 5 || !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), "counting: ") {
		t.Errorf("after %d tries: %v", tries, err)
	}
}
