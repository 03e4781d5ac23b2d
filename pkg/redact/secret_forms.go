package redact

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/pem"
	"net/url"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sky-shift/skyctl/pkg/lazyregexp"
)

// secretForm is a byte sequence by which a secret is found in a folded text.
type secretForm struct {
	bytes []byte
	// before and after are how many characters next to the form also hold bits of the secret: those at the ends of
	// base64 depend on the bytes next to the secret.
	before, after int
}

// secretFormsOf returns the forms of a secret: plain, and in base64 at any offset of the encoded text. Of a key file, a
// kubeconfig or a token it uses only the secret parts: headers and certificates occur in many harmless texts.
func secretFormsOf(secret []byte) []secretForm {
	var all []secretForm
	for _, part := range secretPartsOf(secret) {
		if n := foldText(string(part)).bytes; len(n) >= MinLength {
			for _, piece := range cutPublicHalf(n, secret) {
				if len(piece) >= MinLength {
					all = append(all, secretForm{bytes: piece})
				}
			}
			for shift := range 3 {
				if b := foldText(encodeStableBase64(part, shift)).bytes; len(b) >= MinLength {
					all = append(all, secretForm{b, 1, 3})
				}
			}
		}
	}
	return all
}

var (
	// tokenPattern matches an RKE2 token: the hash of the cluster's CA, which is not secret, then user and password.
	tokenPattern = lazyregexp.New(`^K10[0-9a-fA-F]+::(?:[^:]*:)?(.+)$`)
	// kubeconfigSecretPattern matches the secrets of a kubeconfig.
	kubeconfigSecretPattern = lazyregexp.New(`(?m)^\s*(?:- )?(client-key-data|token|password):\s*["']?([^"'\s]+)`)
)

func secretPartsOf(secret []byte) [][]byte {
	secret = bytes.TrimSpace(secret)
	if bytes.Contains(secret, []byte("-----BEGIN ")) {
		return privateKeyBodies(bytes.ReplaceAll(secret, []byte(`\n`), []byte("\n"))) // JSON escapes line breaks
	}
	if m := tokenPattern.Compiled().FindSubmatch(secret); m != nil {
		return m[1:]
	}
	if bytes.Contains(secret, []byte("\nkind: Config")) || bytes.HasPrefix(secret, []byte("apiVersion:")) {
		var parts [][]byte
		for _, m := range kubeconfigSecretPattern.Compiled().FindAllSubmatch(secret, -1) {
			if key, err := base64.StdEncoding.DecodeString(string(m[2])); string(m[1]) == "client-key-data" &&
				err == nil {
				parts = append(parts, privateKeyBodies(key)...)
				continue
			}
			parts = append(parts, m[2])
		}
		return parts
	}
	if password := passwordInURL(secret); password != nil {
		return [][]byte{secret, password} // logs often show only a part of a URL
	}
	return [][]byte{secret}
}

// passwordInURL returns the unescaped password in a URL, such as that of a proxy; nil if there is none.
func passwordInURL(text []byte) []byte {
	u, err := url.Parse(string(text))
	if err != nil || u.User == nil || u.Host == "" {
		return nil
	}
	if password, has := u.User.Password(); has {
		return []byte(password)
	}
	return nil
}

// privateKeyBodies returns the bodies of the private keys in PEM with their line breaks.
func privateKeyBodies(text []byte) [][]byte {
	var parts [][]byte
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(pem.EncodeToMemory(block))), "\n")
		whole := strings.Join(lines[1:len(lines)-1], "\n")
		if i := bytes.Index(text, []byte(lines[1][:min(len(lines[1]), 32)])); i >= 0 {
			if j := bytes.Index(text[i:], []byte("-----END ")); j > 0 { // its lines may have another length
				whole = string(bytes.TrimSpace(text[i : i+j]))
			}
		}
		parts = append(parts, []byte(whole))
	}
	return parts
}

// cutPublicHalf returns the body of a private SSH key without the public half that it contains: the public half is not
// secret, and lines of authorized_keys contain the same characters. It returns any other text unchanged.
func cutPublicHalf(body, secret []byte) [][]byte {
	pieces := [][]byte{body}
	key, err := ssh.ParsePrivateKey(secret)
	if err != nil || key.PublicKey().Type() != ssh.KeyAlgoED25519 {
		return pieces
	}
	blob := key.PublicKey().Marshal()
	for shift := range 3 {
		public := foldText(encodeStableBase64(blob[len(blob)-ed25519.PublicKeySize:], shift)).bytes
		var rest [][]byte
		for _, piece := range pieces {
			rest = append(rest, bytes.Split(piece, public)...)
		}
		pieces = rest
	}
	return pieces
}

// encodeStableBase64 returns the part of a secret's base64 that depends only on the secret, if it follows so many bytes
// (modulo 3).
func encodeStableBase64(secret []byte, before int) string {
	text := base64.RawStdEncoding.EncodeToString(append(make([]byte, before), secret...))
	if rest := (before + len(secret)) % 3; rest > 0 {
		text = text[:len(text)-1] // the last character has bits of what follows
	}
	return text[min([]int{0, 2, 3}[before], len(text)):]
}
