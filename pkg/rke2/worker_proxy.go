package rke2

import "net/http"

// describeProxy names the proxy of this process's environment by which a request leaves, without the name and password
// that it may be used with; "" where the request leaves directly.
func describeProxy(req *http.Request) string {
	proxy, err := http.ProxyFromEnvironment(req)
	if err != nil || proxy == nil {
		return ""
	}
	return " through the proxy " + proxy.Scheme + "://" + proxy.Host +
		" (HTTPS_PROXY or HTTP_PROXY in skyd's environment)"
}
