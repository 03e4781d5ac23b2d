package etcd

import "context"

// ServerVersion returns the version of the etcd server.
func (c *Client) ServerVersion(ctx context.Context) (string, error) {
	call, cancel := c.limitCall(ctx)
	defer cancel()
	status, err := c.client.Status(call, c.client.Endpoints()[0])
	if err != nil {
		return "", c.wrapError(ctx, "reading the version of etcd", err)
	}
	return status.Version, nil
}
