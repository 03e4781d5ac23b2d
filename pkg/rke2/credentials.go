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

// credentialsScript prints each secret as NAME BASE64. /cacerts is asked for on the machine itself, over a connection
// that is authenticated already.
const credentialsScript = `
set -e
show() { echo "$1 $(base64 -w0)"; }
show server-token <` + serverDir + `/token
show agent-token <` + serverDir + `/agent-token
show kubeconfig <` + kubeconfig + `
` + curlHere + ` -skf -m 5 https://127.0.0.1:9345/cacerts | show cacerts`

// ReadCredentials reads the tokens and the kubeconfig of a head whose server is up. Tokens come back in their full
// form; one that is kept in the short form is completed with the hash of the head's CA.
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
			return Credentials{}, fmt.Errorf("there is no %s yet", name)
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

// hashCA is the hash by which a token pins what /cacerts gives: of the text where that is one certificate, else of the
// root's DER.
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
		return "", errors.New("the head shows no CA")
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
