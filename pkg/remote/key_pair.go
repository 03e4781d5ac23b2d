package remote

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// NewKeyPair generates an ed25519 key: the private key in OpenSSH's PEM form, the public key in authorized_keys form.
// It is used for logins, and as the host key of a machine.
func NewKeyPair() (privatePEM []byte, public string, err error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, "", fmt.Errorf("generating an SSH key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(priv, "skyctl")
	if err != nil {
		return nil, "", fmt.Errorf("encoding an SSH key: %w", err)
	}
	sshPub, err := ssh.NewPublicKey(pub)
	if err != nil {
		return nil, "", fmt.Errorf("encoding an SSH key: %w", err)
	}
	return pem.EncodeToMemory(block), toAuthorizedKey(sshPub), nil
}

func toAuthorizedKey(k ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k)))
}

// PublicKeyOf returns the public key, in authorized_keys form, of a private key in OpenSSH's PEM form.
func PublicKeyOf(privatePEM []byte) (string, error) {
	signer, err := ssh.ParsePrivateKey(privatePEM)
	if err != nil {
		return "", fmt.Errorf("reading an SSH key: %w", err)
	}
	return toAuthorizedKey(signer.PublicKey()), nil
}
