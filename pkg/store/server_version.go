package store

import "context"

// ServerVersion is that of the etcd server; its error says that the server did not tell.
func (s *Store) ServerVersion(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	told, err := s.client.Status(ctx, s.client.Endpoints()[0])
	if err != nil {
		return "", s.wrapError(ctx, "asking etcd for its version", err)
	}
	return told.Version, nil
}
