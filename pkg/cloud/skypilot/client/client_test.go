package client

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

func TestUnsupportedServerVersionsAreExplained(t *testing.T) {
	for _, test := range []struct {
		name, health string
		kind         cloud.ErrorKind
		words        string
	}{
		{"the pinned one", `{"status":"healthy","api_version":"62","version":"0.14.1"}`, "", ""},
		{"the oldest", `{"status":"healthy","api_version":"56","version":"0.13.0"}`, "", ""},
		{"the next", `{"status":"healthy","api_version":"75","version":"0.15.0"}`, "", ""},
		{"a development version", `{"status":"healthy","api_version":"62","version":"1.0.0-dev0"}`, "", ""},
		{"too old", `{"status":"healthy","api_version":"30","version":"0.11.2"}`, cloud.Infeasible, "too old"},
		{"too new", `{"status":"healthy","api_version":"99","version":"0.16.0"}`, cloud.Infeasible, "too new"},
		{"one that wants a token", `{"status":"needs_auth","api_version":"62","version":"0.14.1"}`, cloud.Access,
			EnvToken},
		{"something else", `{"status":"ok"}`, cloud.Infeasible, "is not a SkyPilot API server"},
		{"a web page", `<html>`, cloud.Infeasible, EnvEndpoint},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("X-SkyPilot-API-Version") != "62" || r.Header.Get("X-SkyPilot-Version") != Version {
					t.Errorf("headers %v", r.Header)
				}
				_, _ = w.Write([]byte(test.health))
			}))
			defer s.Close()
			err := New(s.URL, "").EnsureVersion(t.Context())
			if test.kind == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || cloud.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.words) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestRejectedVersionAndAccessAreExplained(t *testing.T) {
	for _, test := range []struct {
		code  int
		body  string
		kind  cloud.ErrorKind
		words string
	}{
		{400, `{"error":"version_mismatch","message":"Your SkyPilot client version is too old: 0.14.1"}`,
			cloud.Infeasible, "too new: it is 0.16.2"},
		{401, `{"detail":"Authentication required"}`, cloud.Access, EnvToken},
		{403, `{"detail":"no"}`, cloud.Access, EnvToken},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer sky_secret" {
				t.Errorf("headers %v", r.Header)
			}
			w.Header().Set("X-SkyPilot-Version", "0.16.2")
			w.WriteHeader(test.code)
			_, _ = w.Write([]byte(test.body))
		}))
		t.Cleanup(s.Close)
		_, err := New(s.URL, "sky_secret").Submit(t.Context(), "/launch", RequestSettings{})
		if err == nil || cloud.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.words) ||
			strings.Contains(err.Error(), "sky_secret") {
			t.Errorf("%d: %v", test.code, err)
		}
	}
}

func TestServerWithoutAnAnswerIsATransientError(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := New(s.URL, "").Call(ctx, "/api/health", nil,
		nil); cloud.KindOf(err) != cloud.Transient {
		t.Errorf("%s: %v", cloud.KindOf(err), err)
	}
}

func TestGatewayErrorIsRetried(t *testing.T) {
	tries := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		tries++
		if tries < 3 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = w.Write([]byte(`{"status":"SUCCEEDED","return_value":"[\"aws\"]","error":"null"}`))
	}))
	defer s.Close()
	var names []string
	if err := New(s.URL, "").AwaitResult(t.Context(), "id", &names); err != nil ||
		!slices.Equal(names, []string{"aws"}) {
		t.Errorf("%v, %v", names, err)
	}
}
