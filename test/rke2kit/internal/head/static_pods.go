package head

import (
	"path/filepath"
	"sync"
	"time"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/staticpod"
)

// placeLatest is when the placeholders are placed though the server's Node is not Ready: before the kubelet removes the
// logs of pods that it does not know.
const placeLatest = 20 * time.Second

// staticPods are the placeholders of the control plane. New ones are written when the server's Node is Ready: on a busy
// machine their containers would delay it. The server's Node is initialised after that, so that they are the first.
type staticPods struct {
	dir     string // the kubelet's directory of manifests
	mu      sync.Mutex
	open    bool // they are written at once
	lost    bool // they are not written any more
	pending []staticpod.Pod
}

func newStaticPods(dataDir string) *staticPods {
	return &staticPods{dir: filepath.Join(dataDir, "agent", "pod-manifests")}
}

func (h *Head) newPod(component string, args []string) staticpod.Pod {
	return staticpod.Pod{Component: component, Node: h.opts.NodeName, Image: h.opts.PodImage, Args: args,
		Requests: h.opts.Requests, Logs: h.opts.PodLogs}
}

// place writes a pod that was there before at once, and others when it is time.
func (s *staticPods) place(pod staticpod.Pod) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.lost:
		return nil
	case s.open || pod.IsIn(s.dir):
		return pod.Write(s.dir)
	}
	s.pending = append(s.pending, pod)
	return nil
}

// placeAll writes the pods that wait, and from now on each at once.
func (s *staticPods) placeAll() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = true
	for len(s.pending) > 0 && !s.lost {
		if err := s.pending[0].Write(s.dir); err != nil {
			return err
		}
		s.pending = s.pending[1:]
	}
	return nil
}

// arePlaced reports whether placeAll has been called.
func (s *staticPods) arePlaced() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

// remove removes one that does not run.
func (s *staticPods) remove(component string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return staticpod.Remove(s.dir, component)
}

// lose removes them all, until the next start.
func (s *staticPods) lose() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = true
	return staticpod.Remove(s.dir, staticpod.ControlPlane...)
}
