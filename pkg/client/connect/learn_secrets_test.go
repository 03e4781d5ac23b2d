package connect

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/redact"
)

func TestSecretsOfTheInstallationAreHidden(t *testing.T) {
	dir := t.TempDir()
	t.Cleanup(func() { redact.ForgetOwner("") })
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", filepath.Join(dir, "adc.json"))
	cfg := &config.Config{Dir: dir, SecretsKeyFile: filepath.Join(dir, "secrets.key")}
	cfg.SkyPilot.TokenFile = filepath.Join(dir, "token")
	for name, text := range map[string]string{
		"secrets.key": "00112233445566778899aabbccddeeff0f1e2d3c4b5a69788796a5b4c3d2e1f0\n",
		"token":       "sky_a1b2c3d4e5f6g7\n",
		"pki/ca.key": "-----BEGIN EC PRIVATE " +
			"KEY-----\nMHcCAQEEIBnGzQ0b9XvJ8u2kq3r5t7w9yBxDzGfJiLkNmPoRqStUoAoGCCqGSM49\n-----END EC PRIVATE " +
			"KEY-----\n",
		".aws/credentials": "[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = " +
			"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n",
		"adc.json": "{\n  \"client_secret\": \"d-FL95Q19q7MQmFpd7hHD0Ty\",\n  \"token_uri\": " +
			"\"https://oauth2.example.com/token\"\n}\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	LearnSecrets(cfg, []string{
		"AZURE_CLIENT_SECRET=8Q~azure-secret-value", "https_proxy=http://me:pr0xy%2Fpassw0rd@proxy:3128",
		"LAMBDA_API_KEY=lambda_0123456789",
		"FAKE_CREDENTIALS=/etc/fake/credentials", "HOME=/home/of/all", "SHORT_TOKEN=on",
	}, dir)
	const public = "AKIAIOSFODNN7EXAMPLE at https://oauth2.example.com/token, " +
		"/etc/fake/credentials of /home/of/all is on"
	for in, want := range map[string]string{
		"x 00112233445566778899aabbccddeeff0f1e2d3c4b5a69788796a5b4c3d2e1f0 y": "x [hidden] y",
		"x sky_a1b2c3d4e5f6g7 y": "x [hidden] y",
		"x MHcCAQEEIBnGzQ0b9XvJ8u2kq3r5t7w9yBxDzGfJiLkNmPoRqStUoAoGCCqGSM49 y": "x [hidden] y",
		"x wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY y":                         "x [hidden] y",
		"x d-FL95Q19q7MQmFpd7hHD0Ty y":                                         "x [hidden] y",
		"x 8Q~azure-secret-value y":                                            "x [hidden] y",
		"x pr0xy/passw0rd pr0xy%2Fpassw0rd y":                                  "x [hidden] y",
		"x lambda_0123456789 y":                                                "x [hidden] y",
		public:                                                                 public,
	} {
		if got := redact.Text(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
