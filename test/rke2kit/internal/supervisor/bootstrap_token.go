package supervisor

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/kubeapi"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/logline"
)

// Bootstrap tokens are Kubernetes' own: a secret of this type and name holds id,
// secret and expiry.
const (
	bootstrapType   = "bootstrap.kubernetes.io/token"
	bootstrapPrefix = "bootstrap-token-"
)

// CreateBootstrapToken makes a token `id.secret` that lets agents join for ttl;
// zero is forever.
func CreateBootstrapToken(ctx context.Context, api *kubeapi.Client, ttl time.Duration) (string, error) {
	id, key := randomString(6), randomString(16)
	s := secret{Type: bootstrapType, StringData: map[string]string{
		"token-id": id, "token-secret": key,
		"usage-bootstrap-authentication": "true", "usage-bootstrap-signing": "true",
		"auth-extra-groups": "system:bootstrappers:rke2:default-node-token",
	}}
	if ttl > 0 {
		s.StringData["expiration"] = time.Now().Add(ttl).UTC().Format(time.RFC3339)
	}
	s.setMetadata(bootstrapPrefix + id)
	if err := api.CallJSON(ctx, http.MethodPost, secretsPath, s, nil); err != nil {
		return "", fmt.Errorf("create bootstrap token: %w", err)
	}
	return id + "." + key, nil
}

// isValidBootstrapToken tells whether a bearer token is a bootstrap token in force.
func (s *Supervisor) isValidBootstrapToken(ctx context.Context, bearer string) bool {
	id, key, found := strings.Cut(bearer, ".")
	if !found || len(id) != 6 || strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return false
	}
	select {
	case <-s.ready:
	default:
		return false
	}
	var stored secret
	if err := s.api.CallJSON(ctx, http.MethodGet, secretsPath+"/"+bootstrapPrefix+id, nil, &stored); err != nil {
		if !kubeapi.HasStatusCode(err, http.StatusNotFound) {
			logline.Warnf("failed to look up bootstrap token %s: %v", id, err)
		}
		return false
	}
	if until := string(stored.Data["expiration"]); until != "" {
		if t, err := time.Parse(time.RFC3339, until); err != nil || time.Now().After(t) {
			return false
		}
	}
	return string(stored.Data["usage-bootstrap-authentication"]) == "true" &&
		equalSecrets(key, string(stored.Data["token-secret"]))
}

// randomString returns n characters of a bootstrap token's alphabet.
func randomString(n int) string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567" // 32: a byte's low bits are unbiased
	b := make([]byte, n)
	_, _ = rand.Read(b)
	for i := range b {
		b[i] = alphabet[b[i]%32]
	}
	return string(b)
}
