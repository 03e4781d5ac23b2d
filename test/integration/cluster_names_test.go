package integration

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/sky-shift/skyctl/pkg/config"
)

// clusterNames knows which test has created the clusters of a name. Tests share the Temporal, where a cluster's name is
// the id of its operations: two tests with one name would meet each other's.
type clusterNames struct {
	test   map[string]string
	shared []error
}

// addKey notes the test that has written a key of etcd, if the key is one of a cluster. Each test has a prefix of its
// own, which ends before "/clusters/".
func (n *clusterNames) addKey(key string) {
	dir, name := path.Split(key)
	test, isCluster := strings.CutSuffix(dir, "/clusters/")
	if !isCluster || strings.HasSuffix(test, "/damaged") { // copies of records that were set aside
		return
	}
	if n.test == nil {
		n.test = map[string]string{}
	}
	switch before, known := n.test[name]; {
	case !known:
		n.test[name] = test
	case before != test:
		n.shared = append(n.shared, fmt.Errorf("%s and %s both have a cluster %s, and meet each other's operations: "+
			"give one of them another name", strings.TrimPrefix(before, "/"), strings.TrimPrefix(test, "/"), name))
		n.test[name] = test
	}
}

// lastKey is written when all tests have ended.
const lastKey = "/all-tests-have-ended"

// watchClusterNames watches which clusters tests create. After the tests, end returns an error if two of them have one
// name.
func watchClusterNames(cfg *config.Config) (end func() error, err error) {
	tls, err := cfg.Etcd.TLS.ClientConfig()
	if err != nil {
		return nil, err
	}
	c, err := clientv3.New(clientv3.Config{Endpoints: cfg.Etcd.Endpoints, TLS: tls, DialTimeout: patience,
		Logger: zap.NewNop()})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	writes := c.Watch(ctx, "/", clientv3.WithPrefix(), clientv3.WithFilterDelete())
	found := make(chan error, 1)
	go func() { found <- findSharedNames(writes) }()
	return func() error {
		defer func() { _ = c.Close() }()
		defer cancel()
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if _, err := c.Put(ctx, lastKey, ""); err != nil {
			return fmt.Errorf("looking for names that tests share: %w", err)
		}
		select {
		case err := <-found:
			return err
		case <-ctx.Done():
			return errors.New("looking for names that tests share: etcd does not send all writes")
		}
	}, nil
}

func findSharedNames(writes clientv3.WatchChan) error {
	var names clusterNames
	for w := range writes {
		for _, e := range w.Events {
			if string(e.Kv.Key) == lastKey {
				return errors.Join(names.shared...)
			}
			names.addKey(string(e.Kv.Key))
		}
		if err := w.Err(); err != nil {
			return fmt.Errorf("looking for names that tests share: %w", err)
		}
	}
	return errors.New("looking for names that tests share: the watch has ended")
}

func TestTwoTestsWithOneClusterNameAreRefused(t *testing.T) {
	var names clusterNames
	for _, key := range []string{"/TestA/clusters/one", "/TestA/clusters/one", "/TestA/machines/uid/one",
		"/TestB/machines/uid/one", "/TestB/one/clusters/two", "/TestA/damaged/clusters/one"} {
		names.addKey(key)
	}
	if len(names.shared) != 0 {
		t.Errorf("got %v", names.shared)
	}
	names.addKey("/TestB/one/clusters/one")
	if len(names.shared) != 1 || !strings.HasPrefix(names.shared[0].Error(), "TestA and TestB/one both have a cluster "+
		"one") {
		t.Errorf("got %v", names.shared)
	}
}
