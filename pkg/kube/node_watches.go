package kube

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
)

// clientFunc returns a client for a cluster's API.
type clientFunc = func(context.Context) (kubernetes.Interface, error)

// NodeWatches shares one watch of the nodes of a cluster among all who wait for one of them: a watch each would cost a
// connection, and a list every half a minute, per machine. The zero value is ready to use.
type NodeWatches struct {
	mu        sync.Mutex
	byCluster map[string]*nodeWatch
}

// AwaitNodeReady is the function AwaitNodeReady for a node of the cluster with a UID. newClient is
// called by the first who waits, for all, and again after errors of the API server: its address or the credentials may
// have changed. If its first call fails, the wait ends with that error as it is.
func (s *NodeWatches) AwaitNodeReady(ctx context.Context, uid string, newClient clientFunc, nodeName string,
	progress func(string)) error {
	shared, changed := s.join(ctx, uid, newClient, nodeName)
	defer s.leave(uid, shared, nodeName, changed)
	w := nodeWait{name: nodeName, progress: progress, state: notChecked}
	for {
		seen := shared.stateOf(nodeName)
		switch {
		case seen.ready:
			return nil
		case seen.denied:
			return fmt.Errorf("waiting for node %s: %w", nodeName, seen.err)
		case seen.err != nil:
			return seen.err
		}
		w.reportState(seen.state)
		select {
		case <-ctx.Done():
			return &NotReady{Node: nodeName, State: w.state, Cause: context.Cause(ctx)}
		case <-changed:
		}
	}
}

// join adds a wait to the watch of its cluster, which it starts if there is none. The channel tells that the state of
// the node may have changed.
func (s *NodeWatches) join(ctx context.Context, uid string, newClient clientFunc,
	nodeName string) (*nodeWatch, chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	shared := s.byCluster[uid]
	if shared == nil {
		shared = &nodeWatch{states: map[string]nodeState{}, waits: map[string]map[chan struct{}]bool{}}
		if s.byCluster == nil {
			s.byCluster = map[string]*nodeWatch{}
		}
		s.byCluster[uid] = shared
		var watchCtx context.Context
		watchCtx, shared.stop = context.WithCancel(context.WithoutCancel(ctx)) // it outlives the first wait
		go func() {
			denied, err := shared.follow(watchCtx, newClient)
			s.remove(uid, shared)
			shared.fail(denied, err)
		}()
	}
	changed := make(chan struct{}, 1)
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.waits[nodeName] == nil {
		shared.waits[nodeName] = map[chan struct{}]bool{}
	}
	shared.waits[nodeName][changed] = true
	return shared, changed
}

// leave ends a wait, and the watch with the last one.
func (s *NodeWatches) leave(uid string, shared *nodeWatch, nodeName string, changed chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if delete(shared.waits[nodeName], changed); len(shared.waits[nodeName]) == 0 {
		delete(shared.waits, nodeName)
	}
	if len(shared.waits) > 0 {
		return
	}
	shared.stop()
	if s.byCluster[uid] == shared {
		delete(s.byCluster, uid)
	}
}

// remove lets the next wait start another watch.
func (s *NodeWatches) remove(uid string, shared *nodeWatch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byCluster[uid] == shared {
		delete(s.byCluster, uid)
	}
}

// nodeWatch is the watch of one cluster's nodes.
type nodeWatch struct {
	stop context.CancelFunc

	mu     sync.Mutex
	listed bool
	states map[string]nodeState
	// silence is why the API server does not answer; "" if it does.
	silence string
	// err ended the watch; denied says that the API server denied access.
	err    error
	denied bool
	// waits has the channels to tell about a node.
	waits map[string]map[chan struct{}]bool
}

type nodeState struct {
	ready  bool
	state  string
	err    error
	denied bool
}

// follow watches until ctx ends, access is denied, or there is no client.
func (w *nodeWatch) follow(ctx context.Context, newClient clientFunc) (denied bool, err error) {
	client, err := newClient(ctx)
	if err != nil {
		return false, err
	}
	defer func() { CloseClient(client) }()
	broken := false
	err = followNodes(ctx, "", nodeFollower{
		client: func(ctx context.Context) kubernetes.Interface {
			if !broken {
				return client
			}
			if fresh, err := newClient(ctx); err == nil {
				CloseClient(client)
				client, broken = fresh, false
			}
			return client
		},
		list: func(nodes []corev1.Node) bool {
			w.setStates(nodes)
			return false
		},
		change: func(node *corev1.Node, deleted bool) bool {
			w.setState(node, deleted)
			return false
		},
		silent: func(err error) {
			broken = true
			w.setSilence(err)
		},
	})
	return true, err
}

func (w *nodeWatch) stateOf(node string) nodeState {
	w.mu.Lock()
	defer w.mu.Unlock()
	state, known := w.states[node]
	switch {
	case w.err != nil:
		return nodeState{err: w.err, denied: w.denied}
	case w.silence != "":
		return nodeState{state: w.silence}
	case known:
		return state
	case w.listed:
		return nodeState{state: notRegistered}
	}
	return nodeState{state: notChecked}
}

func (w *nodeWatch) setStates(nodes []corev1.Node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.states
	w.listed, w.silence, w.states = true, "", make(map[string]nodeState, len(nodes))
	for i := range nodes {
		w.states[nodes[i].Name] = newNodeState(&nodes[i])
	}
	for name := range before {
		if _, still := w.states[name]; !still {
			w.states[name] = nodeState{state: nodeDeleted}
		}
	}
	w.wakeAllWaits()
}

func (w *nodeWatch) setState(node *corev1.Node, deleted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	state := nodeState{state: nodeDeleted}
	if !deleted {
		state = newNodeState(node)
	}
	if w.states[node.Name] == state {
		return
	}
	w.states[node.Name] = state
	w.wakeWaits(node.Name)
}

func newNodeState(node *corev1.Node) nodeState {
	ready, state := judgeNode(node)
	return nodeState{ready: ready, state: state}
}

func (w *nodeWatch) setSilence(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.silence = describeSilence(err)
	w.wakeAllWaits()
}

// fail ends every wait with an error.
func (w *nodeWatch) fail(denied bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.denied, w.err = denied, err
	w.wakeAllWaits()
}

func (w *nodeWatch) wakeAllWaits() {
	for name := range w.waits {
		w.wakeWaits(name)
	}
}

// wakeWaits wakes the waits for a node.
func (w *nodeWatch) wakeWaits(node string) {
	for changed := range w.waits[node] {
		select {
		case changed <- struct{}{}:
		default: // it was told already
		}
	}
}
