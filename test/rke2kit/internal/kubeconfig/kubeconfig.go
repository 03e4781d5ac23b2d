// Package kubeconfig renders the kubeconfig files a node needs.
package kubeconfig

import (
	"encoding/base64"
	"fmt"
)

// RenderEmbedded renders a file that carries its certificates itself, so that a copy
// of it works elsewhere. All three are PEM.
func RenderEmbedded(server string, ca, cert, key []byte) []byte {
	b64 := base64.StdEncoding.EncodeToString
	return renderKubeconfig(server,
		"certificate-authority-data: "+b64(ca),
		"client-certificate-data: "+b64(cert),
		"client-key-data: "+b64(key))
}

// RenderWithFiles renders a file that points to the certificates of a component.
func RenderWithFiles(server, ca, cert, key string) []byte {
	return renderKubeconfig(server,
		"certificate-authority: "+ca, "client-certificate: "+cert, "client-key: "+key)
}

func renderKubeconfig(server, ca, cert, key string) []byte {
	return fmt.Appendf(nil, `apiVersion: v1
clusters:
- cluster:
    %s
    server: %s
  name: default
contexts:
- context:
    cluster: default
    user: default
  name: default
current-context: default
kind: Config
users:
- name: default
  user:
    %s
    %s
`, ca, server, cert, key)
}
