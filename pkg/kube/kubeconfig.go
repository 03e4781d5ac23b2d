// Package kube reads and changes a cluster through its Kubernetes API: node readiness, capacity, drains, kubeconfigs.
package kube

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// EditKubeconfig turns the kubeconfig of an RKE2 head into one for a user: context, cluster and user get the name of
// the cluster, and the server becomes the outside address, https://<address>:6443. Certificates stay embedded.
func EditKubeconfig(raw []byte, cluster, server string) ([]byte, error) {
	fail := func(err error) ([]byte, error) {
		return nil, fmt.Errorf("editing the kubeconfig of cluster %s: %w", cluster, err)
	}
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return fail(fmt.Errorf("the server %q is not of the form https://<address>:6443", server))
	}
	in, err := clientcmd.Load(raw)
	if err != nil {
		return fail(err)
	}
	current := in.Contexts[in.CurrentContext]
	if current == nil {
		return fail(errors.New("it has no current context"))
	}
	c, user := in.Clusters[current.Cluster], in.AuthInfos[current.AuthInfo]
	if c == nil || user == nil {
		return fail(errors.New("its current context names a cluster or user that does not exist"))
	}
	if len(c.CertificateAuthorityData) == 0 || len(user.ClientCertificateData) == 0 || len(user.ClientKeyData) == 0 {
		return fail(errors.New("its certificates are not embedded"))
	}
	out := clientcmdapi.NewConfig()
	out.CurrentContext = cluster
	out.Clusters[cluster] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: c.CertificateAuthorityData}
	out.AuthInfos[cluster] = &clientcmdapi.AuthInfo{ClientCertificateData: user.ClientCertificateData,
		ClientKeyData: user.ClientKeyData}
	out.Contexts[cluster] = &clientcmdapi.Context{Cluster: cluster, AuthInfo: cluster}
	b, err := clientcmd.Write(*out)
	if err != nil {
		return fail(err)
	}
	return b, nil
}

// NewClient creates a client from a kubeconfig. Its rate limit is higher than the default of client-go; the context of
// each call sets its timeout. Its connections are its own (see CloseClient) and go to the server directly: the proxy of
// this process's environment is for the internet, and most proxies cannot reach the machines of a cluster.
func NewClient(kubeconfig []byte, options ...ClientOption) (kubernetes.Interface, error) {
	config, err := newRESTConfig(kubeconfig)
	if err != nil {
		return nil, err
	}
	return newClosableClient(config, (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		options)
}

func newRESTConfig(kubeconfig []byte) (*rest.Config, error) {
	config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	config.QPS, config.Burst = 50, 100
	config.UserAgent = "skyctl"
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	return config, nil
}

// KubeconfigExpiry returns when the first certificate of a kubeconfig expires. After that, the kubeconfig is useless.
func KubeconfigExpiry(kubeconfig []byte) (time.Time, error) {
	in, err := clientcmd.Load(kubeconfig)
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	var first time.Time
	for _, user := range in.AuthInfos {
		block, _ := pem.Decode(user.ClientCertificateData)
		if block == nil {
			return time.Time{}, errors.New("reading the kubeconfig: it has no certificate")
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return time.Time{}, fmt.Errorf("reading the kubeconfig's certificate: %w", err)
		}
		if first.IsZero() || cert.NotAfter.Before(first) {
			first = cert.NotAfter
		}
	}
	return first, nil
}

// callTimeout bounds a single call, so that an API server that accepts a connection but does not answer is noticed.
const callTimeout = 15 * time.Second
