package worker

import (
	"os"
	"path/filepath"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/regularfile"
)

// learnSecrets has this process hide the installation's own secrets wherever something prints them: the key of the
// secrets in etcd, the keys of certificates, SkyPilot's token, and the clouds' credentials where they lie in the
// environment or where their own tools keep them. A cluster's secrets are learned as they are read.
func learnSecrets(cfg *config.Config, environ []string, home string) {
	redact.LearnEnvironment(environ)
	whole := []string{cfg.SecretsKeyFile, cfg.Etcd.TLS.Key, cfg.Temporal.TLS.Key, cfg.SkyPilot.TokenFile}
	if keys, err := filepath.Glob(filepath.Join(cfg.PKIDir(), "*.key")); err == nil {
		whole = append(whole, keys...)
	}
	for _, name := range whole {
		// one that can't be read is said where it is used
		if b, err := regularfile.Read(name, regularfile.SmallFile); err == nil {
			redact.LearnSecret("", b)
		}
	}
	for _, name := range []string{
		os.Getenv("AWS_SHARED_CREDENTIALS_FILE"), os.Getenv("GOOGLE_APPLICATION_CREDENTIALS"),
		filepath.Join(home, ".aws", "credentials"),
		filepath.Join(home, ".config", "gcloud", "application_default_credentials.json"),
	} {
		if b, err := regularfile.Read(name, regularfile.SmallFile); err == nil {
			redact.LearnSettings(b)
		}
	}
}
