package redact

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

func TestPublicHalfOfAnSSHKeyIsNotSecret(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "skyctl")
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	file := string(pem.EncodeToMemory(block))
	v := NewKnownSecrets()
	v.LearnSecret("", []byte(file))
	line := "append this line: " + strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
	if got := v.HideSecrets(line); got != line {
		t.Errorf("the public half became %q", got)
	}
	lines := strings.Split(strings.TrimSpace(file), "\n")
	seed := encodeStableBase64(private.Seed(), 161%3) // as the body of the file has it
	for what, text := range map[string]string{"the file": file,
		"its body in one line": strings.Join(lines[1:len(lines)-1], "")} {
		if got := v.HideSecrets(text); strings.Contains(strings.ReplaceAll(got, "\n", ""), seed[:24]) {
			t.Errorf("%s became %q", what, got)
		}
	}
}
