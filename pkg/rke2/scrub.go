package rke2

// Scrub hides the secrets in a text that a machine printed: keys, tokens in all their forms, certificates of kubeconfigs.
func Scrub(text string) string {
	for _, s := range secretForms {
		text = s.form.ReplaceAllString(text, s.by)
	}
	return text
}
