package redact_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/redact"
)

const (
	token = "K10a64b08a64b08a64b08a64b08a64b08a64b08a64b08a64b08a64b08a64b08a64b" +
		"::server:5f0c19d2e77b3a4860b1cc29f4d8e6a7"
	password = "5f0c19d2e77b3a4860b1cc29f4d8e6a7"
	short    = "p4ss-w0rd/+x"
	odd      = "Zürich\"quoted\"&100%=sure;東京ok?"
	key      = "-----BEGIN OPENSSH PRIVATE KEY-----\n" +
		"b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gt\n" +
		"ZWQyNTUxOQAAACDq8gH1jYcX3tG0r5Zk2m9wYxV7bNnQeC4uTqLsDf6h3wAAAJgR2c5F\n" +
		"EdnORQAAAAtzc2gtZWQyNTUxOQAAACDq8gH1jYcX3tG0r5Zk2m9wYxV7bNnQeC4uTqLs\n" +
		"Df6h3wAAAEBmWvJq0cTzX1uN8yKp3sLgQe7RaHd5Vb2MxOtUiPjCnerb+fqz2Q==\n" +
		"-----END OPENSSH PRIVATE KEY-----\n"
)

// learned returns a set with a secret of each kind.
func learned() *redact.KnownSecrets {
	v := redact.NewKnownSecrets()
	for _, s := range []string{token, short, odd, key, "tiny"} {
		v.LearnSecret("c1", []byte(s))
	}
	return v
}

func wrap(s string, width int, prefix string) string {
	var b strings.Builder
	for len(s) > width {
		b.WriteString(prefix + s[:width] + "\n")
		s = s[width:]
	}
	return b.String() + prefix + s
}

func inJSON(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestKnownSecretIsHiddenInEachForm(t *testing.T) {
	v := learned()
	body := strings.TrimSpace(strings.Split(strings.Split(key, "-----\n")[1], "-----")[0])
	for name, secret := range map[string]string{"a password": password, "a short one": short, "an odd one": odd,
		"a key": body} {
		for form, written := range map[string]string{
			"bare":                       secret,
			"in base64":                  b64(secret),
			"in base64 of a URL":         base64.RawURLEncoding.EncodeToString([]byte(secret)),
			"within base64, 1 before":    b64("x" + secret + "."),
			"within base64, 2 before":    b64("xy" + secret + "."),
			"within base64, 3 before":    b64("xyz" + secret + "!"),
			"in base64 of several lines": wrap(b64("xyz"+secret), 20, ""),
			"in a query":                 url.QueryEscape(secret),
			"in a path":                  url.PathEscape(secret),
			"in JSON":                    inJSON(secret),
			"quoted by Go":               fmt.Sprintf("%q", secret),
			"with breaks":                wrap(strings.ReplaceAll(secret, "ü", "u"), 7, ""),
			"with zero-width spaces":     strings.Join(strings.Split(secret, ""), "\u200b"),
		} {
			if form == "with breaks" && name == "an odd one" {
				continue // it would cut a character
			}
			got := v.HideSecrets("before " + written + " after")
			if !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") {
				t.Errorf("%s, %s: the text around it changed: %q", name, form, got)
			}
			rest := strings.NewReplacer("before ", "", " after", "", redact.Hidden, "", `"`, "", " ", "", "\n", "",
				`\n`, "").Replace(got)
			if len(rest) > 8 { // base64 of the text around it
				t.Errorf("%s, %s: left %q of %q", name, form, rest, got)
			}
		}
	}
}

func TestPartOfAKnownSecretIsHidden(t *testing.T) {
	v := learned()
	line := strings.Split(key, "\n")[2]
	for name, s := range map[string]string{
		"the beginning of a password":  "level=fatal got " + password[:24] + " bad",
		"the end of a password":        "level=fatal got " + password[8:] + " bad",
		"a line of a key":              "level=fatal got " + line + " bad",
		"lines of a key with prefixes": wrap(strings.ReplaceAll(key[40:200], "\n", ""), 40, "rke2[7]: "),
	} {
		got := v.HideSecrets(s)
		for i := 0; i+10 <= len(s); i++ {
			if part := s[i : i+10]; (strings.Contains(password, part) || strings.Contains(key, part)) &&
				strings.Contains(got, part) {
				t.Errorf("%s: left %q", name, got)
				break
			}
		}
	}
}

func TestTextWithoutSecretsIsUnchanged(t *testing.T) {
	v := learned()
	for _, s := range []string{
		"", "tiny", "the password was 12345678", "sky-c-0: rke2-server failed (exit-code)",
		"token CA hash does not match: a64b08a64b08a64b08a64b08a64b08a64b08a64b08a64b08a64b08a64b08a64b",
		"-----BEGIN CERTIFICATE-----", b64("-----BEGIN " +
			"CERTIFICATE-----\nMIIBeTCCAR+gAwIBAgIBADAKBggqhkjOPQQDAjAkMSIwIAYDVQQDDBlya2UyLXNl"),
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH4k3mDw7xTzQmJ4Wq8pYlq0v1vPz2cJbX5eN6rLtUaG",
		"/var/lib/rancher/rke2/server/token", "100% of \\ it",
	} {
		if got := v.HideSecrets(s); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
	if got, want := v.HideSecrets("/a/"+password+"/b?x="+password+"&y"), "/a/[hidden]/b?x=[hidden]&y"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOnlySecretsOfAKubeconfigAreHidden(t *testing.T) {
	v := redact.NewKnownSecrets()
	ec := "-----BEGIN EC PRIVATE " +
		"KEY-----\nMHcCAQEEIBnGzQ0b9XvJ8u2kq3r5t7w9yBxDzGfJiLkNmPoRqStUoAoGCCqGSM49\n-----END EC PRIVATE KEY-----\n"
	cert := b64("-----BEGIN CERTIFICATE-----\nMIIBeTCCAR+gAwIBAgIBADAKBggqhkjOPQQDAjAkMSIw\n-----END " +
		"CERTIFICATE-----\n")
	v.LearnSecret("c1", []byte("apiVersion: v1\nclusters:\n- cluster:\n    server: https://10.0.0.2:6443\n    "+
		"certificate-authority-data: "+cert+
		"\nkind: Config\nusers:\n- name: default\n  user:\n    client-key-data: "+b64(ec)+
		"\n    token: abcdefgh12345678\n"))
	for s, want := range map[string]string{
		"got " + cert:                     "got " + cert,
		"at https://10.0.0.2:6443":        "at https://10.0.0.2:6443",
		"as abcdefgh12345678 there":       "as [hidden] there",
		"x " + strings.Split(ec, "\n")[1]: "x [hidden]",
	} {
		if got := v.HideSecrets(s); got != want {
			t.Errorf("%q became %q, want %q", s, got, want)
		}
	}
	if got := v.HideSecrets(b64(ec)); strings.Contains(got, b64(ec)[60:]) || strings.Contains(got, b64(ec)[44:90]) {
		t.Errorf("left %q", got)
	}
}

func TestForgottenOwnersSecretsAreNotHidden(t *testing.T) {
	v := redact.NewKnownSecrets()
	v.LearnSecret("c1", []byte(password))
	v.LearnSecret("c1", []byte(short))
	v.LearnSecret("c2", []byte(password))
	v.LearnSecret("c2", []byte(password))
	v.ForgetOwner("c1")
	if got := v.HideSecrets(password + " " + short); got != "[hidden] "+short {
		t.Errorf("got %q", got)
	}
	v.ForgetOwner("c2")
	v.ForgetOwner("nobody")
	if got := v.HideSecrets(password); got != password {
		t.Errorf("got %q", got)
	}
	v.LearnSecret("c1", []byte(password))
	if got := v.HideSecrets(password); got != redact.Hidden {
		t.Errorf("learned again: %q", got)
	}
}

func TestTextIsRedactedAndPrintable(t *testing.T) {
	redact.LearnSecret("of this test", []byte("a-value-of-this-test"))
	defer redact.ForgetOwner("of this test")
	got := redact.Text("\x1b[31mgot a-value-of-\x1b[0mthis-test\u202e\npassw\x1b[0mord=abc")
	if got != "got [hidden]\\u202e\npassword=[hidden]" {
		t.Errorf("got %q", got)
	}
	err := redact.Error(fmt.Errorf("got %w", errors.New("a-value-of-this-test")))
	if err.Error() != "got [hidden]" || errors.Unwrap(err) != nil || redact.Error(nil) != nil {
		t.Errorf("got %v", err)
	}
}

func TestLogHasNoSecrets(t *testing.T) {
	redact.LearnSecret("of this test", []byte("a-value-of-this-test"))
	defer redact.ForgetOwner("of this test")
	var b strings.Builder
	log := slog.New(redact.LogHandler{Handler: slog.NewTextHandler(&b, nil)}).With("with",
		"a-value-of-this-test").WithGroup("g")
	log.Info("got a-value-of-this-test", "text", "a-value-of-this-test", "error", errors.New("no a-value-of-this-test"),
		"n", 7,
		"list", []string{"a-value-of-this-test"}, slog.Group("in", "deep", "a-value-of-this-test"), "colour",
		"\x1b[31mred\u202e")
	if got := b.String(); strings.Contains(got, "a-value") || strings.Count(got, redact.Hidden) != 6 ||
		!strings.Contains(got, "g.n=7") || strings.Contains(got, "\u202e") {
		t.Errorf("got %s", got)
	}
}

func BenchmarkHide(b *testing.B) {
	v := learned()
	text := strings.Repeat("time=\"2026-11-24T06:00:00Z\" level=info msg=\"Running kube-apiserver\"\n", 20)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		v.HideSecrets(text)
	}
}
