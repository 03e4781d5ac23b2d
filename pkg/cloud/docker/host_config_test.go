package docker

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

// stubEngine answers like an engine on which containers do not start for the given reason, or start if it is empty.
// Real engines, which the other tests use, may or may not allow privileged containers: both must work.
func stubEngine(t *testing.T, reason *atomic.Value) (c *Cloud, creates *atomic.Int32) {
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
			if why, _ := reason.Load().(string); why != "" {
				w.WriteHeader(http.StatusInternalServerError) // the engine's status for every error of the runtime
				json.NewEncoder(w).Encode(map[string]string{"message": why})
				return
			}
			w.WriteHeader(http.StatusNoContent)
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

func TestPrivilegedIsTriedOnce(t *testing.T) {
	for reason, want := range map[string]bool{
		"": true,
		"OCI runtime create failed: unable to apply caps: operation not permitted":                 false,
		"OCI runtime create failed: error setting capabilities":                                    false,
		"failed to write a *:* rwm to devices.allow: write devices.allow: operation not permitted": false,
		"OCI runtime create failed: mounting proc: permission denied":                              false,
		"OCI runtime create failed: setting rlimits for ready process: invalid argument":           false,
		"OCI runtime create failed: privileged containers are switched off: unknown":               false,
	} {
		why := &atomic.Value{}
		why.Store(reason)
		c, creates := stubEngine(t, why)
		for range 2 {
			if got, err := c.canRunPrivileged(t.Context(), "image"); err != nil || got != want {
				t.Errorf("start fails with %q: privileged is %v, want %v: %v", reason, got, want, err)
			}
		}
		if creates.Load() != 1 {
			t.Errorf("start fails with %q: tried %d times", reason, creates.Load())
		}
	}
}

func TestUnrelatedErrorIsNotRememberedAsARefusal(t *testing.T) {
	for _, reason := range []string{
		"OCI runtime create failed: mkdir /var/lib/docker/overlay2/x: no space left on device",
		"OCI runtime create failed: fork/exec /usr/bin/runc: cannot allocate memory",
		"failed to create shim task: context deadline exceeded",
	} {
		why := &atomic.Value{}
		why.Store(reason)
		c, _ := stubEngine(t, why)
		if _, err := c.canRunPrivileged(t.Context(), "image"); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("start fails with %q, and the error is %v", reason, err)
		}
		why.Store("")
		if got, err := c.canRunPrivileged(t.Context(), "image"); err != nil || !got {
			t.Errorf("after %q: privileged is %v, %v", reason, got, err)
		}
	}
}

func TestHostConfigMatchesItsPrivilege(t *testing.T) {
	c, _ := stubEngine(t, &atomic.Value{})
	req := cloud.LaunchRequest{Placement: api.Placement{CPUs: 2, MemoryGiB: 4}}
	full, single := c.newHostConfig(req, "net", true), c.newHostConfig(req, "net", false)
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
