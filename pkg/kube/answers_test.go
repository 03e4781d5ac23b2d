package kube

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestErrorOfTheAPIServerIsAnAnswer(t *testing.T) {
	const refused = `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403}`
	status, body := http.StatusOK, `{"kind":"NodeList","apiVersion":"v1","items":[]}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	cs, err := NewClient([]byte("apiVersion: v1\nkind: Config\ncurrent-context: a\n" +
		"clusters: [{name: a, cluster: {server: '" + server.URL + "'}}]\n" +
		"users: [{name: a, user: {}}]\ncontexts: [{name: a, context: {cluster: a, user: a}}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { CloseClient(cs) })
	for _, code := range []int{http.StatusOK, http.StatusForbidden, http.StatusInternalServerError} {
		if status = code; code != http.StatusOK {
			body = refused
		}
		if !Answers(t.Context(), cs) {
			t.Errorf("HTTP %d is no answer", code)
		}
	}
	server.Close()
	if Answers(t.Context(), cs) {
		t.Error("a server that is gone answers")
	}
}
