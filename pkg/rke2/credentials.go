package rke2

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/sky-shift/skyctl/pkg/remote"
)

// credentialsScript prints each secret as NAME BASE64. It requests /cacerts on the machine itself, over the
// authenticated SSH connection.
const credentialsScript = `
set -e
print_secret() { echo "$1 $(base64 -w0)"; }
print_secret server-token <` + serverDir + `/token
print_secret agent-token <` + serverDir + `/agent-token
print_secret kubeconfig <` + kubeconfig + `
` + localCurl + ` -skf -m 5 https://127.0.0.1:9345/cacerts | print_secret cacerts`

// ReadCredentials reads the tokens and the kubeconfig of a head whose server is up. It returns tokens in the full form,
// and completes short ones with the hash of the head's CA.
func ReadCredentials(ctx context.Context, h *remote.Host) (Credentials, error) {
	out, err := h.RunScript(ctx, "reading the cluster's credentials", credentialsScript)
	if err != nil {
		return Credentials{}, err
	}
	c, err := parseCredentials(string(out))
	if err != nil {
		return Credentials{}, fmt.Errorf("machine %s: reading the cluster's credentials: %w", h.Name(), err)
	}
	return c, nil
}

func parseCredentials(out string) (Credentials, error) {
	got := map[string][]byte{}
	for l := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimSpace(l), " ")
		b, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			return Credentials{}, fmt.Errorf("%s is not base64", name)
		}
		got[name] = b
	}
	for _, name := range []string{"server-token", "agent-token", "kubeconfig"} {
		if len(got[name]) == 0 {
			return Credentials{}, fmt.Errorf("%s does not exist yet", name)
		}
	}
	c := Credentials{Kubeconfig: got["kubeconfig"]}
	var err error
	if c.ServerToken, err = toFullToken(string(got["server-token"]), "server", got["cacerts"]); err != nil {
		return Credentials{}, err
	}
	if c.AgentToken, err = toFullToken(string(got["agent-token"]), "node", got["cacerts"]); err != nil {
		return Credentials{}, err
	}
	return c, checkJoinToken(c.AgentToken)
}

func toFullToken(token, user string, caCerts []byte) (string, error) {
	token = strings.TrimSpace(token)
	if strings.HasPrefix(token, "K10") {
		return token, nil
	}
	hash, err := hashCA(caCerts)
	if err != nil {
		return "", fmt.Errorf("completing the %s token: %w", user, err)
	}
	return "K10" + hash + "::" + user + ":" + token, nil
}

// hashCA returns the hash by which a token pins the output of /cacerts: of the text for a single certificate, otherwise
// of the DER of the root.
func hashCA(text []byte) (string, error) {
	var certs []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return "", fmt.Errorf("reading the head's CA: %w", err)
		}
		certs = append(certs, cert)
	}
	switch len(certs) {
	case 0:
		return "", errors.New("the head returned no CA")
	case 1:
		sum := sha256.Sum256(text)
		return hex.EncodeToString(sum[:]), nil
	}
	for _, c := range certs {
		if c.CheckSignatureFrom(c) == nil {
			sum := sha256.Sum256(c.Raw)
			return hex.EncodeToString(sum[:]), nil
		}
	}
	return "", errors.New("none of the head's CA certificates is a root")
}
