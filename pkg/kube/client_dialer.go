package kube

import (
	"context"
	"fmt"
	"net"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// NewClientWithDialer is Client over connections that dial makes, wherever the kubeconfig says that the server is; the
// server's certificate is checked all the same.
func NewClientWithDialer(kubeconfig []byte, dial func(context.Context) (net.Conn, error),
	how ...ClientOption) (kubernetes.Interface, error) {
	config, err := newRESTConfig(kubeconfig)
	if err != nil {
		return nil, err
	}
	return newClosableClient(config, func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }, how)
}

// SetTLSServerName has a kubeconfig's server known by a name of its certificate, where it is reached at an address that
// isn't in it.
func SetTLSServerName(kubeconfig []byte, name string) ([]byte, error) {
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
