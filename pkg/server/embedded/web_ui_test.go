package embedded

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/config"
)

// requestUI sends a request to the UI with the CSRF token that it gives to its own pages.
func requestUI(t *testing.T, c *config.Config, method, path, host, origin string) (int, string) {
	t.Helper()
	page, err := directClient.Get("http://" + config.LoopbackAddress(c.Dev.UIPort) + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	_ = page.Body.Close()
	req, err := http.NewRequestWithContext(contextWithin(t, time.Minute), method,
		"http://"+config.LoopbackAddress(c.Dev.UIPort)+path, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		req.Host = host
	}
	if origin != "" {
		req.Header.Set("Origin", origin)
	}
	for _, cookie := range page.Cookies() {
		req.AddCookie(cookie)
		if cookie.Name == "_csrf" {
			req.Header.Set("X-CSRF-TOKEN", cookie.Value)
		}
	}
	resp, err := directClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// uiRejectsForeignHosts checks that the UI rejects pages whose own host name points to this computer (DNS rebinding).
func uiRejectsForeignHosts(t *testing.T, c *config.Config) {
	port := strconv.Itoa(c.Dev.UIPort)
	for _, path := range []string{"/", "/healthz", "/api/v1/settings", "/api/v1/namespaces/" + c.Temporal.Namespace +
		"/workflows"} {
		for host, want := range map[string]int{
			"localhost:" + port: http.StatusOK, "127.0.0.1:" + port: http.StatusOK, "[::1]:" + port: http.StatusOK,
			"LocalHost:" + port: http.StatusOK, "localhost": http.StatusOK, "[::1]": http.StatusOK,
			"localhost:9000":                 http.StatusOK, // through an SSH tunnel
			"evil.example":                   http.StatusMisdirectedRequest,
			"evil.example:" + port:           http.StatusMisdirectedRequest,
			"localhost.evil.example:" + port: http.StatusMisdirectedRequest,
			"127.0.0.1.nip.io:" + port:       http.StatusMisdirectedRequest,
			"0.0.0.0:" + port:                http.StatusMisdirectedRequest,
			"192.168.0.7:" + port:            http.StatusMisdirectedRequest,
		} {
			status, body := requestUI(t, c, http.MethodGet, path, host, "")
			if status != want || want != http.StatusOK && !strings.Contains(body, "localhost") {
				t.Errorf("%s of %s: %d, want %d: %.100s", path, host, status, want, body)
			}
		}
	}
	for origin, want := range map[string]int{
		"http://localhost:" + port:  http.StatusOK,
		"http://evil.example":       http.StatusForbidden,
		"http://localhost:1":        http.StatusForbidden,
		"https://localhost:" + port: http.StatusForbidden,
		"null":                      http.StatusForbidden,
	} {
		status, body := requestUI(t, c, http.MethodGet, "/api/v1/settings", "localhost:"+port, origin)
		if status != want {
			t.Errorf("from %s: %d, want %d: %.100s", origin, status, want, body)
		}
	}
}

// uiRejectsEncodedWrites: the UI's write filter decodes the slashes of a path, and takes the start of a workflow with
// such a name for a query. Temporal's authorizer rejects it because of the UI's certificate.
func uiRejectsEncodedWrites(t *testing.T, c *config.Config) {
	workflows := "/api/v1/namespaces/" + c.Temporal.Namespace + "/workflows/"
	for _, path := range []string{"a%2Fquery%2Fb", "a%2Fquery%2Fb/terminate", "a%2Fquery%2Fb/signal/x",
		"a%2Fquery%2Fb/cancel"} {
		if status, body := requestUI(t, c, http.MethodPost, workflows+path, "", ""); status != http.StatusForbidden ||
			strings.Contains(body, "origins") {
			t.Errorf("POST %s: %d, want Temporal's refusal: %.200s", path, status, body)
		}
	}
	ctx := contextWithin(t, time.Minute)
	tc, err := temporalClient(ctx, c, clientTLS(t, c.Temporal.TLS))
	if err != nil {
		t.Fatal(err)
	}
	defer tc.Close()
	if _, err := tc.DescribeWorkflowExecution(ctx, "a/query/b", ""); err == nil {
		t.Error("a workflow was started through the UI")
	}
}
