package redact

import "github.com/sky-shift/skyctl/pkg/lazyregexp"

// secretPatterns match text that must not leave a machine in a log: keys, tokens in all their forms, labeled passwords,
// and the base64 of certificates and keys in kubeconfigs.
var secretPatterns = []struct {
	form *lazyregexp.Regexp
	by   string
}{
	{lazyregexp.New(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)`),
		Hidden},
	{lazyregexp.New(`K10[0-9a-fA-F]{8,}(::[^\s"',]*)?`), Hidden},
	{lazyregexp.New(`\b[a-z0-9]{6}\.[a-z0-9]{16}\b`), Hidden},
	{lazyregexp.New(`\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*`), Hidden},
	{lazyregexp.New(`(?i)\b(bearer|basic)\s+[\w+/=.:~-]{8,}`), "$1 " + Hidden},
	{lazyregexp.New(`(?i)(\b[a-z][a-z0-9+.-]*://[^\s/:@"']*:)[^\s/@"']+@`), "$1" + Hidden + "@"},
	{lazyregexp.New(`(?i)((?:certificate-authority|client-certificate|client-key)` +
		`-data["']?\s*[:=]\s*)["']?[\w+/=]+["']?`), "$1" + Hidden},
	{lazyregexp.New(`(?i)(\b[\w-]*(?:token|password|passwd|passphrase|secret|secret_?access_?key|api_?key)` +
		`["']?\s*(?:=|:\s)\s*)` +
		`(?:"[^"]+"|'[^']+'|[^\s"',]+)`), "$1" + Hidden},
	{lazyregexp.New(`(--[\w-]*(?:token|password|secret))\s+[^\s-][^\s]*`), "$1 " + Hidden},
	{lazyregexp.New(`LS0tLS1CRUdJTi[\w+/=]*`), Hidden},
}

// hidePatterns hides text that looks like a secret.
func hidePatterns(text string) string {
	for _, s := range secretPatterns {
		text = s.form.ReplaceAllString(text, s.by)
	}
	return text
}
