package docker

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

// stubEngine answers like an engine whose containers start with the given status. The real ones that the other tests
// run on may or may not allow privileged containers: both must work.
func stubEngine(t *testing.T, startStatus *atomic.Int32) (c *Cloud, creates *atomic.Int32) {
	t.Helper()
	creates = &atomic.Int32{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		w.Header().Set("Content-Type", "application/json")
		switch path := r.URL.Path; {
		case strings.HasSuffix(path, "/containers/create"):
			creates.Add(1)
			w.WriteHeader(http.StatusCreated)
			w.Write([]byte(`{"Id": "0123456789ab"}`))
		case strings.HasSuffix(path, "/start"):
			w.WriteHeader(int(startStatus.Load()))
			if startStatus.Load() >= 400 {
				w.Write([]byte(`{"message": "unable to apply caps: operation not permitted"}`))
			}
		case strings.HasSuffix(path, "/containers/json"):
			w.Write([]byte(`[]`))
		}
	}))
	t.Cleanup(server.Close)
	t.Setenv("DOCKER_HOST", "tcp://"+strings.TrimPrefix(server.URL, "http://"))
	c, err := New(Options{ImageCacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, creates
}

func TestPrivilegedIsFoundOutByTryingOnce(t *testing.T) {
	for status, want := range map[int32]bool{http.StatusNoContent: true, http.StatusInternalServerError: false} {
		start := &atomic.Int32{}
		start.Store(status)
		c, creates := stubEngine(t, start)
		for range 2 {
			if got, err := c.privileged(t.Context(), "image"); err != nil || got != want {
				t.Errorf("start answers %d: privileged is %v, want %v: %v", status, got, want, err)
			}
		}
		if creates.Load() != 1 {
			t.Errorf("start answers %d: tried %d times", status, creates.Load())
		}
	}
}

func TestHostAsksForNoMoreThanItsKindOfMachineAllows(t *testing.T) {
	c, _ := stubEngine(t, &atomic.Int32{})
	req := cloud.LaunchRequest{Placement: api.Placement{CPUs: 2, MemoryGiB: 4}}
	full, single := c.hostConfig(req, "net", true), c.hostConfig(req, "net", false)
	if !full.Privileged || len(full.CapAdd) > 0 || full.MaskedPaths != nil {
		t.Errorf("privileged host: %+v", full)
	}
	if single.Privileged || len(single.CapAdd) == 0 || single.MaskedPaths == nil || single.ReadonlyPaths == nil {
		t.Errorf("host of single capabilities: %+v", single)
	}
	for _, h := range []int64{full.Memory, single.Memory, full.MemorySwap, single.MemorySwap} {
		if h != 4<<30 {
			t.Errorf("a host has %d bytes of memory or swap, want 4 GiB", h)
		}
	}
}
