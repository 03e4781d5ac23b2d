package embedded

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/sky-shift/skyctl/pkg/operation"
)

// operationsQuery selects the operations on clusters: each has the name of its cluster. Sweeps, plans and checks have
// none, and the machines of an operation are shown on its own page.
const operationsQuery = "`" + operation.SearchClusterName + "` is not null AND `WorkflowType`!=\"" +
	operation.WorkflowKeepSnapshots + "\""

// showOperationsFirst sends a browser that opens the Web UI, or its list of workflows without a filter, to the list of
// operations on clusters. The filter is in the address and on the page, where a person can change or remove it: a page
// that is open asks this server only for data.
func showOperationsFirst(namespace string, next http.Handler) http.Handler {
	list := "/namespaces/" + url.PathEscape(namespace) + "/workflows"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := strings.TrimSuffix(r.URL.EscapedPath(), "/"); {
		case r.Method == http.MethodGet && r.URL.RawQuery == "" &&
			(path == "" || path == strings.TrimSuffix(list, "/workflows") || path == list):
			http.Redirect(w, r, list+"?query="+url.QueryEscape(operationsQuery), http.StatusFound)
		default:
			next.ServeHTTP(w, r)
		}
	})
}
