package rke2

import "net/http"

// describeProxy describes the proxy that this process uses for a request, without its credentials; "" if the request
// goes out directly.
func describeProxy(req *http.Request) string {
	proxy, err := http.ProxyFromEnvironment(req)
	if err != nil || proxy == nil {
		return ""
	}
	return " through the proxy " + proxy.Scheme + "://" + proxy.Host +
		" (HTTPS_PROXY or HTTP_PROXY in skyd's environment)"
}
