package skypilot_test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/test/eventually"
)

// TestLocalServerRejectsWebPages: SkyPilot's own server has no authentication on loopback and allows every origin, so
// that any page in a browser could launch machines.
func TestLocalServerRejectsWebPages(t *testing.T) {
	c := start(t).cloud(t)
	if f, _ := c.InspectProvider(eventually.Context(t, 4*time.Minute)); f.Problem != "" {
		t.Fatal(f.Problem)
	}
	at := strconv.Itoa(port)
	for _, tt := range []struct {
		method, path, host, origin string
		want                       int
	}{
		{http.MethodGet, "/api/health", "127.0.0.1:" + at, "", http.StatusOK},
		{http.MethodGet, "/api/health", "localhost:" + at, "http://localhost:" + at, http.StatusOK},
		{http.MethodGet, "/api/health", "[::1]:" + at, "", http.StatusOK},
		{http.MethodGet, "/api/health", "evil.example:" + at, "", http.StatusMisdirectedRequest},
		{http.MethodGet, "/api/health", "127.0.0.1.evil.example", "", http.StatusMisdirectedRequest},
		{http.MethodGet, "/api/health", "127.0.0.1:" + at, "http://evil.example", http.StatusForbidden},
		{http.MethodGet, "/api/health", "127.0.0.1:" + at, "null", http.StatusForbidden},
		{http.MethodPost, "/launch", "127.0.0.1:" + at, "https://evil.example", http.StatusForbidden},
		{http.MethodPost, "/status", "evil.example:" + at, "", http.StatusMisdirectedRequest},
		// a browser's first request
		{http.MethodOptions, "/launch", "127.0.0.1:" + at, "https://evil.example", http.StatusForbidden},
	} {
		req, err := http.NewRequestWithContext(eventually.Context(t, time.Minute), tt.method, "http://127.0.0.1:"+
			at+tt.path,
			strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = tt.host
		if tt.origin != "" {
			req.Header.Set("Origin", tt.origin)
		}
		resp, err := (&http.Client{Transport: &http.Transport{}}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != tt.want || tt.want != http.StatusOK &&
			resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s %s of %s from %q: %s, want %d: %.200s %v", tt.method, tt.path, tt.host, tt.origin, resp.Status,
				tt.want, body, resp.Header)
		}
	}
}
