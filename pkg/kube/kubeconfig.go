// Package kube reads and changes a cluster through its Kubernetes API: readiness of nodes, capacity, kubeconfigs.
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

// EditKubeconfig makes an RKE2 head's kubeconfig one for a person: context, cluster and user bear the cluster's name,
// and the server is the address at which it is reached from outside, https://<address>:6443. Certificates stay
// embedded.
func EditKubeconfig(raw []byte, cluster, server string) ([]byte, error) {
	fail := func(err error) ([]byte, error) {
		return nil, fmt.Errorf("editing the kubeconfig of cluster %s: %w", cluster, err)
	}
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return fail(fmt.Errorf("the server %q should be https://<address>:6443", server))
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
		return fail(errors.New("its current context names a cluster or user that it lacks"))
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

// NewClient makes a client from a kubeconfig. It asks more at a time than client-go does by itself; each call's time is
// bounded by its context. Its connections are its own (see Close), and go to the server directly: the proxy of this
// process's environment is for what lies outside, and a cluster's machines are mostly known to no proxy.
func NewClient(kubeconfig []byte, how ...ClientOption) (kubernetes.Interface, error) {
	config, err := newRESTConfig(kubeconfig)
	if err != nil {
		return nil, err
	}
	return newClosableClient(config, (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		how)
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

// KubeconfigExpiry is when the first of the certificates that a kubeconfig carries ends: after that it is of no use.
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

// callTimeout bounds a single call, so that an API server which takes a connection and says nothing is noticed.
const callTimeout = 15 * time.Second
