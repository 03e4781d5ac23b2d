package store

import (
	"context"

	"github.com/sky-shift/skyctl/pkg/api"
)

// neededSecrets are the secrets that a running cluster can't be without: each of them is used by some repair. A
// machine's host key is not one of them: the launch gives it to the machine, and only its public half is pinned.
var neededSecrets = []string{
	SecretSSHKey, SecretKubeconfig, SecretAgentToken, SecretAgentPassword, SecretServerToken,
}

// MissingSecrets returns the secrets that a running cluster should have, and that are missing or were altered.
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
