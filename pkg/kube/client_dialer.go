package kube

import (
	"context"
	"fmt"
	"net"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// NewClientWithDialer is NewClient over connections from dial, whatever server the kubeconfig names. The certificate of
// the server is still verified.
func NewClientWithDialer(kubeconfig []byte, dial func(context.Context) (net.Conn, error),
	options ...ClientOption) (kubernetes.Interface, error) {
	config, err := newRESTConfig(kubeconfig)
	if err != nil {
		return nil, err
	}
	return newClosableClient(config, func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		options)
}

// SetTLSServerName makes clients of a kubeconfig verify the server by this name of its certificate. Use it if they
// reach the server at an address that is not in the certificate.
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
