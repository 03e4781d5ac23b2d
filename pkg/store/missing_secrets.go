package store

import (
	"context"

	"github.com/sky-shift/skyctl/pkg/api"
)

// neededSecrets are the secrets that repairs of a running cluster use. Host keys of machines are not among them: the
// launch installs the host key on the machine, and only its public half is pinned.
var neededSecrets = []string{
	SecretSSHKey, SecretKubeconfig, SecretAgentToken, SecretAgentPassword, SecretServerToken,
}

// MissingSecrets returns the needed secrets of a running cluster that are missing or damaged.
func (s *Store) MissingSecrets(ctx context.Context, ref api.Ref) ([]string, error) {
	usable, err := s.ListUsableSecrets(ctx, ref)
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, key := range neededSecrets {
		if !usable[key] {
			missing = append(missing, key)
		}
	}
	return missing, nil
}
