package e2e

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/sky-shift/skyctl/pkg/kube"
	"github.com/sky-shift/skyctl/test/eventually"
)

// dialTimeout bounds each try to connect to a server that may be gone.
const dialTimeout = 3 * time.Second

// revisionWatcher watches ConfigMaps as controllers do. It keeps the credentials that it began with, and follows the
// cluster's server to another address.
type revisionWatcher struct {
	client kubernetes.Interface
	held   cache.Store

	mu sync.Mutex
	// revision is the one up to which the watcher has seen everything.
	revision int64
	// expired counts the times that the server refused to continue from a revision.
	expired int
	faults  []string
}

// watchConfigMaps starts a watcher of a cluster. It stops with the test.
func (i *installation) watchConfigMaps(cluster string) *revisionWatcher {
	i.t.Helper()
	path := filepath.Join(i.dir, "clusters", cluster, "kubeconfig")
	kubeconfig, err := os.ReadFile(path)
	if err != nil {
		i.t.Fatal(err)
	}
	if kubeconfig, err = kube.SetTLSServerName(kubeconfig, "kubernetes"); err != nil {
		i.t.Fatal(err)
	}
	w := &revisionWatcher{held: cache.NewStore(cache.MetaNamespaceKeyFunc)}
	w.client, err = kube.NewClientWithDialer(kubeconfig, func(ctx context.Context) (net.Conn, error) {
		return dialServer(ctx, path)
	})
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { kube.CloseClient(w.client) })
	reflector := cache.NewReflectorWithOptions(&cache.ListWatch{
		ListWithContextFunc: w.list, WatchFuncWithContext: w.watch,
	}, &corev1.ConfigMap{}, w.held, cache.ReflectorOptions{})
	go reflector.RunWithContext(i.t.Context())
	return w
}

// dialServer connects to the server that a kubeconfig file names now.
func dialServer(ctx context.Context, kubeconfig string) (net.Conn, error) {
	config, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		return nil, err
	}
	for _, c := range config.Clusters {
		server, err := url.Parse(c.Server)
		if err != nil {
			return nil, err
		}
		return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", server.Host)
	}
	return nil, fmt.Errorf("%s names no server", kubeconfig)
}

func (w *revisionWatcher) list(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	all, err := w.client.CoreV1().ConfigMaps(metav1.NamespaceDefault).List(ctx, o)
	w.countExpiry(err)
	if err == nil {
		w.advance(all.ResourceVersion)
	}
	return all, err
}

func (w *revisionWatcher) watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	events, err := w.client.CoreV1().ConfigMaps(metav1.NamespaceDefault).Watch(ctx, o)
	w.countExpiry(err)
	if err != nil {
		return nil, err
	}
	listing := o.SendInitialEvents != nil && *o.SendInitialEvents
	return watch.Filter(events, func(e watch.Event) (watch.Event, bool) {
		object, isConfigMap := e.Object.(*corev1.ConfigMap)
		switch {
		case e.Type == watch.Error:
			w.countExpiry(apierrors.FromObject(e.Object))
		case !isConfigMap:
		case e.Type == watch.Bookmark:
			listing = false
			w.advance(object.ResourceVersion)
		case !listing: // a listing sends objects in any order
			w.advance(object.ResourceVersion)
		}
		return e, true
	}), nil
}

func (w *revisionWatcher) countExpiry(err error) {
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.expired++
	}
}

// advance records the revision up to which the server says that it has sent everything.
func (w *revisionWatcher) advance(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	revision, err := strconv.ParseInt(text, 10, 64)
	if err != nil || revision < w.revision {
		w.faults = append(w.faults, fmt.Sprintf("revision %q after %d (%v)", text, w.revision, err))
		return
	}
	w.revision = revision
}

func (w *revisionWatcher) knownRevision() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.revision
}

// value returns what a ConfigMap says, as far as the watcher knows; empty if there is none.
func (w *revisionWatcher) value(name string) string {
	object, exists, err := w.held.GetByKey(metav1.NamespaceDefault + "/" + name)
	if err != nil || !exists {
		return ""
	}
	return object.(*corev1.ConfigMap).Data["is"]
}

// awaitValues waits until the watcher knows these values of ConfigMaps; an empty one is of a ConfigMap that is gone.
func (w *revisionWatcher) awaitValues(t *testing.T, want map[string]string) {
	t.Helper()
	eventually.Holds(t, fmt.Sprintf("the watcher sees %v", want), func() bool {
		for name, value := range want {
			if w.value(name) != value {
				return false
			}
		}
		return true
	})
}

// checkRestored fails the test unless the watcher was brought past the revision that it had before a restore, and never
// got one below a revision that it knew. Whether the server refused to continue from the old revision, or the watcher
// listed by itself before, depends on how its connection ended.
func (w *revisionWatcher) checkRestored(t *testing.T, before int64) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.revision <= before {
		t.Errorf("the watcher was at revision %d before the restore, and is at %d", before, w.revision)
	}
	if len(w.faults) > 0 {
		t.Errorf("the watcher was sent back:\n%s", strings.Join(w.faults, "\n"))
	}
	t.Logf("the watcher was at revision %d and is at %d; the server refused an old one %d times", before, w.revision,
		w.expired)
}
