package redact

import "regexp"

// secretPatterns match text that must not leave a machine in a log: keys, tokens in all their forms, labeled passwords,
// and the base64 of certificates and keys in kubeconfigs.
var secretPatterns = []struct {
	form *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)`),
		Hidden},
	{regexp.MustCompile(`K10[0-9a-fA-F]{8,}(::[^\s"',]*)?`), Hidden},
	{regexp.MustCompile(`\b[a-z0-9]{6}\.[a-z0-9]{16}\b`), Hidden},
	{regexp.MustCompile(`\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*`), Hidden},
	{regexp.MustCompile(`(?i)\b(bearer|basic)\s+[\w+/=.:~-]{8,}`), "$1 " + Hidden},
	{regexp.MustCompile(`(?i)(\b[a-z][a-z0-9+.-]*://[^\s/:@"']*:)[^\s/@"']+@`), "$1" + Hidden + "@"},
	{regexp.MustCompile(`(?i)((?:certificate-authority|client-certificate|client-key)` +
		`-data["']?\s*[:=]\s*)["']?[\w+/=]+["']?`), "$1" + Hidden},
	{regexp.MustCompile(`(?i)(\b[\w-]*(?:token|password|passwd|passphrase|secret|secret_?access_?key|api_?key)` +
		`["']?\s*(?:=|:\s)\s*)` +
		`(?:"[^"]+"|'[^']+'|[^\s"',]+)`), "$1" + Hidden},
	{regexp.MustCompile(`(--[\w-]*(?:token|password|secret))\s+[^\s-][^\s]*`), "$1 " + Hidden},
	{regexp.MustCompile(`LS0tLS1CRUdJTi[\w+/=]*`), Hidden},
}

// hidePatterns hides text that looks like a secret.
func hidePatterns(text string) string {
	for _, s := range secretPatterns {
		text = s.form.ReplaceAllString(text, s.by)
	}
	return text
}
