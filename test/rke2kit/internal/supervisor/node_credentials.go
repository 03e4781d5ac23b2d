package supervisor

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/kubeapi"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/logline"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/pki"
)

const (
	secretsPath    = "/api/v1/namespaces/kube-system/secrets"
	passwordSuffix = ".node-password.rke2"
	passwordKey    = "hash"
)

type secret struct {
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind,omitempty"`
	Metadata   struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Type       string            `json:"type,omitempty"`
	Data       map[string][]byte `json:"data,omitempty"`
	StringData map[string]string `json:"stringData,omitempty"`
	Immutable  *bool             `json:"immutable,omitempty"`
}

func (s *secret) setMetadata(name string) {
	s.APIVersion, s.Kind, s.Metadata.Name = "v1", "Secret", name
}

var errPasswordMismatch = errors.New("node password does not match")

func kubeletClientLeaf(node, _ string) pki.Leaf {
	return pki.Leaf{CommonName: "system:node:" + node, Organizations: []string{"system:nodes"}, Client: true}
}

func kubeletServingLeaf(node, ip string) pki.Leaf {
	return pki.Leaf{CommonName: node, Hosts: append([]string{node, "localhost", "127.0.0.1"},
		strings.Split(ip, ",")...), Server: true}
}

// handleNodeCertificate signs a node's certificate once the node has shown that it is the one
// that took the name. With a signing request in the body the answer is the
// certificate; without, the certificate and a key.
func (s *Supervisor) handleNodeCertificate(ca *pki.CA, leaf func(node, ip string) pki.Leaf) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		node, password := r.Header.Get(HeaderNodeName), r.Header.Get(HeaderNodePassword)
		if node == "" || password == "" {
			http.Error(w, "node name and node password must be given", http.StatusBadRequest)
			return
		}
		if id := identityOf(r.Context()); id.node != "" && id.node != node {
			http.Error(w, "certificate is of another node", http.StatusForbidden)
			return
		}
		err := s.checkNodePassword(r.Context(), node, password)
		if errors.Is(err, errPasswordMismatch) {
			logline.Warnf("Rejecting node %s: unable to verify password for node: %v", node, err)
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		if err != nil {
			logline.Errorf("failed to verify password of node %s: %v", node, err)
			http.Error(w, "failed to verify node password", http.StatusInternalServerError)
			return
		}
		body, err := signCertificate(ca, leaf(node, r.Header.Get(HeaderNodeIP)), r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = w.Write(body)
	}
}

func signCertificate(ca *pki.CA, leaf pki.Leaf, body io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(body, 64<<10))
	if err != nil {
		return nil, err
	}
	if len(data) == 0 {
		cert, key, err := ca.Issue(leaf)
		return append(cert, key...), err
	}
	pub, err := parseRequestKey(data)
	if err != nil {
		return nil, err
	}
	return ca.Sign(leaf, pub)
}

func parseRequestKey(data []byte) (crypto.PublicKey, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("want a certificate signing request in PEM")
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parse signing request: %w", err)
	}
	return request.PublicKey, request.CheckSignature()
}

// checkNodePassword compares with what the node of this name brought first, or
// keeps it if it is the first. Passwords are 128 random bits, so that a salted
// hash is enough.
func (s *Supervisor) checkNodePassword(ctx context.Context, node, password string) error {
	s.nodes.Lock()
	defer s.nodes.Unlock()
	name := node + passwordSuffix
	var stored secret
	err := s.api.CallJSON(ctx, http.MethodGet, secretsPath+"/"+name, nil, &stored)
	if err == nil {
		salt, want, _ := strings.Cut(string(stored.Data[passwordKey]), ":")
		if !equalSecrets(hashPassword(salt, password), want) {
			return errPasswordMismatch
		}
		return nil
	}
	if !kubeapi.HasStatusCode(err, http.StatusNotFound) {
		return err
	}
	salt := make([]byte, 8)
	_, _ = rand.Read(salt)
	text := hex.EncodeToString(salt)
	immutable := true
	fresh := secret{Type: "Opaque", Immutable: &immutable,
		StringData: map[string]string{passwordKey: text + ":" + hashPassword(text, password)}}
	fresh.setMetadata(name)
	return s.api.CallJSON(ctx, http.MethodPost, secretsPath, fresh, nil)
}

func hashPassword(salt, password string) string {
	sum := sha256.Sum256([]byte(salt + ":" + password))
	return hex.EncodeToString(sum[:])
}

// ForgetNode removes a deleted node's password, so that the name is free again.
func (s *Supervisor) ForgetNode(ctx context.Context, node string) { s.ForgetPassword(ctx, s.api, node) }

// ForgetPassword removes a node's password before the core is ready.
func (s *Supervisor) ForgetPassword(ctx context.Context, api *kubeapi.Client, node string) {
	err := api.CallJSON(ctx, http.MethodDelete, secretsPath+"/"+node+passwordSuffix, nil, nil)
	if err != nil && !kubeapi.HasStatusCode(err, http.StatusNotFound) {
		logline.Warnf("failed to remove password of node %s: %v", node, err)
	}
}
