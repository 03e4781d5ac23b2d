package supervisor

import (
	"context"
	"crypto/subtle"
	"io"
	"log"
	"net/http"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/token"
)

type role string

const (
	roleNode   role = "rke2:agent"
	roleServer role = "rke2:server"
)

// identity is who asks. Node is set where a kubelet's certificate says which.
type identity struct {
	roles []role
	node  string
}

func (id identity) hasRole(r role) bool { return slices.Contains(id.roles, r) }

type identityKey struct{}

func withIdentity(ctx context.Context, id identity) context.Context {
	return context.WithValue(ctx, identityKey{}, id)
}

func identityOf(ctx context.Context) identity {
	id, _ := ctx.Value(identityKey{}).(identity)
	return id
}

func (s *Supervisor) authenticate(r *http.Request) (identity, bool) {
	if user, password, ok := r.BasicAuth(); ok {
		switch {
		case user == token.NodeUser && equalSecrets(password, s.opts.NodePassword):
			return identity{roles: []role{roleNode}}, true
		case user == token.ServerUser && equalSecrets(password, s.opts.ServerPassword):
			return identity{roles: []role{roleNode, roleServer}}, true
		}
		return identity{}, false
	}
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return identity{roles: []role{roleNode}}, s.isValidBootstrapToken(r.Context(), bearer)
	}
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return identity{}, false
	}
	subject := r.TLS.VerifiedChains[0][0].Subject
	if slices.Contains(subject.Organization, "system:masters") {
		return identity{roles: []role{roleNode, roleServer}}, true
	}
	node, ok := strings.CutPrefix(subject.CommonName, "system:node:")
	if ok && slices.Contains(subject.Organization, "system:nodes") {
		return identity{roles: []role{roleNode}, node: node}, true
	}
	return identity{}, false
}

func equalSecrets(a, b string) bool {
	return b != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

// newDiscardLogger drops log lines about handshakes that a client aborted: every agent
// that reads /cacerts before it trusts the CA causes one.
func newDiscardLogger() *log.Logger { return log.New(io.Discard, "", 0) }
