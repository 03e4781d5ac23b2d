package kube

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// ClientThrough is Client over connections that dial makes, wherever the kubeconfig says that the server is; the server's
// certificate is checked all the same. A connection that nobody uses is let go soon, since each client has its own.
func ClientThrough(kubeconfig []byte, dial func(context.Context) (net.Conn, error)) (kubernetes.Interface, error) {
	config, err := restConfig(kubeconfig)
	if err != nil {
		return nil, err
	}
	// client-go keeps the transports that it makes for ever, and one with a dialler of its own would be used once.
	tls, err := rest.TLSConfigFor(config)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	transport := utilnet.SetTransportDefaults(&http.Transport{
		TLSClientConfig: tls, IdleConnTimeout: 10 * time.Second,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		Proxy:       func(*http.Request) (*url.URL, error) { return nil, nil },
	})
	wrapped, err := rest.HTTPWrappersForConfig(config, transport)
	if err != nil {
		return nil, fmt.Errorf("making a Kubernetes client: %w", err)
	}
	cs, err := kubernetes.NewForConfigAndClient(config, &http.Client{Transport: wrapped})
	if err != nil {
		return nil, fmt.Errorf("making a Kubernetes client: %w", err)
	}
	return cs, nil
}

// NameServer has a kubeconfig's server known by a name of its certificate, where it is reached at an address that isn't in it.
func NameServer(kubeconfig []byte, name string) ([]byte, error) {
	config, err := clientcmd.Load(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	for _, c := range config.Clusters {
		c.TLSServerName = name
	}
	out, err := clientcmd.Write(*config)
	if err != nil {
		return nil, fmt.Errorf("editing the kubeconfig: %w", err)
	}
	return out, nil
}
