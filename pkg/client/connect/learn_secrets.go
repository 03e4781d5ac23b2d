package connect

import (
	"os"
	"path/filepath"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/regularfile"
)

// LearnSecrets makes this process hide the installation's own secrets in all output: the secrets key, the private keys
// of certificates, SkyPilot's token, and cloud credentials in the environment or in the files of the clouds' own tools.
// The secrets of a cluster are learned when they are read.
func LearnSecrets(cfg *config.Config, environ []string, home string) {
	redact.LearnEnvironment(environ)
	secretFiles := []string{cfg.SecretsKeyFile, cfg.Etcd.TLS.Key, cfg.Temporal.TLS.Key, cfg.SkyPilot.TokenFile}
	if keys, err := filepath.Glob(filepath.Join(cfg.PKIDir(), "*.key")); err == nil {
		secretFiles = append(secretFiles, keys...)
	}
	for _, name := range secretFiles {
		// An unreadable file is reported where it is used.
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
