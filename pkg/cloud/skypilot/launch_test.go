package skypilot

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/launches"
)

// throttledServer is an API server that works on a launch until it has been heard why that takes long.
type throttledServer struct {
	failingServer
	heard chan struct{}
	logs  int
}

func (s *throttledServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/provision_logs":
		s.mu.Lock()
		s.logs++
		n := s.logs
		s.mu.Unlock()
		// One line is there already, from an earlier launch.
		_, _ = w.Write([]byte(strings.Repeat("D 11-28 12:20:01 instance.py:142] create_instances: "+
			"RequestLimitExceeded, retrying.\n", min(n, 3))))
	case "/api/get":
		select {
		case <-s.heard:
		case <-r.Context().Done():
		}
		s.failingServer.ServeHTTP(w, r)
	default:
		s.failingServer.ServeHTTP(w, r)
	}
}

func TestRetriesOfSkyPilotItselfAreReported(t *testing.T) {
	s := &throttledServer{heard: make(chan struct{})}
	server := httptest.NewServer(s)
	defer server.Close()
	c, err := New(Options{Dir: t.TempDir(), Endpoint: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	c.retriesEvery = time.Millisecond
	req := newLaunchRequest(api.Placement{Cloud: "aws", Region: "us-east-1", InstanceType: "c6i.large"},
		api.GroupSpec{})
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	var once sync.Once
	err = c.followLaunch(ctx, req, "launch-first", func(said string) {
		if strings.Contains(said, "RequestLimitExceeded") {
			once.Do(func() { close(s.heard) })
		}
	})
	if p := new(launches.PassingFailure); !errors.As(err, &p) {
		t.Errorf("it was not heard why the launch takes long: %v", err)
	}
}

// failingServer is an API server on which every launch fails with the same words.
type failingServer struct {
	mu       sync.Mutex
	launched int
	read     []string // the requests whose result was read
}

func (s *failingServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.URL.Path {
	case "/api/health":
		_, _ = w.Write([]byte(`{"status": "healthy", "api_version": "62", "version": "0.14.1"}`))
	case "/api/plugins":
		_, _ = w.Write([]byte(`{"plugins": [{"name": "skyctl_lean"}]}`))
	case "/api/status":
		_, _ = w.Write([]byte(`[]`))
	case "/status":
		w.Header().Set("X-Skypilot-Request-ID", "status")
	case "/launch":
		s.launched++
		w.Header().Set("X-Skypilot-Request-ID", "launch-again")
	case "/api/get":
		id := r.URL.Query().Get("request_id")
		if id == "status" {
			_, _ = w.Write([]byte(`{"status": "SUCCEEDED", "return_value": "[]"}`))
			return
		}
		s.read = append(s.read, id)
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte(`{"detail": {"status": "FAILED", "error": "{\"type\": \"Error\", \"message\": ` +
			`\"(RequestLimitExceeded) Request limit exceeded.\"}"}}`))
	default:
		http.NotFound(w, r)
	}
}

func TestFailedLaunchIsRetriedAsANewRequest(t *testing.T) {
	s := &failingServer{}
	server := httptest.NewServer(s)
	defer server.Close()
	c, err := New(Options{Dir: t.TempDir(), Endpoint: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	c.relaunchAfter = time.Millisecond
	req := newLaunchRequest(api.Placement{Cloud: "aws", Region: "us-east-1", InstanceType: "c6i.large"},
		api.GroupSpec{})
	req.AuthorizedKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDIlL0q8ZjJ3s9Dk1lX4hXQf7o2kq2rDk0m3hYw1bqJm"
	ctx, stop := context.WithCancel(t.Context())
	var heard []string
	_, err = c.AwaitLaunch(ctx, req, "launch-first", func(s string) {
		if heard = append(heard, s); strings.Contains(s, "2 times") {
			stop()
		}
	})
	if err == nil || !slices.Equal(s.read, []string{"launch-first", "launch-again"}) || s.launched != 1 {
		t.Errorf("%d new launches, the ends of %v were read, %v", s.launched, s.read, err)
	}
	unwanted := errors.New("it is not wanted any more")
	req.Wanted = func(context.Context) error { return unwanted }
	if _, err := c.AwaitLaunch(t.Context(), req, "launch-first", func(string) {}); !errors.Is(err, unwanted) ||
		s.launched != 1 {
		t.Errorf("an abandoned launch: %d new launches, %v", s.launched, err)
	}
}
