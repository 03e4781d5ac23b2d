package simcloud

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
)

// passwordRejected is what RKE2's agent logs if the password of its Node is not the stored one.
const passwordRejected = `level=error msg="Node password rejected, duplicate hostname or contents of ` +
	`'/etc/rancher/node/password' may not match server node-passwd entry"`

// RenewNodePassword gives a worker another password for its Node, and stores it in its cluster, as when the file of the
// password is lost, and a person deletes the stored one and restarts the agent.
func (c *Cloud) RenewNodePassword(machine string) error {
	return c.withHost(machine, func(h *host) error {
		a := c.clusterAPI(h.req.Owner.ClusterUID)
		if a == nil {
			return fmt.Errorf("the cluster of %s has no head", machine)
		}
		h.mu.Lock()
		h.password = rand.Text()
		h.mu.Unlock()
		a.registry.storePassword(h.configValue("node-name"), h.nodePassword())
		return nil
	})
}

func (h *host) nodePassword() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.password
}

func (r *nodeRegistry) storePassword(node, password string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.passwords[node] = password
}

// rejectOtherPasswords makes agents with other passwords than the stored ones fail from their next start on.
func (a *apiServer) rejectOtherPasswords() error {
	var errs []error
	for _, h := range a.peers() {
		a.registry.mu.Lock()
		stored, taken := a.registry.passwords[h.configValue("node-name")]
		a.registry.mu.Unlock()
		if h != a.head && taken && stored != h.nodePassword() {
			errs = append(errs, h.setMarker("rejected.rke2-agent", passwordRejected))
		}
	}
	return errors.Join(errs...)
}

// forgetPassword deletes the secret of a Node's password, so that an agent with another one can start.
func (a *apiServer) forgetPassword(secret string) bool {
	if !a.registry.deletePasswordSecret(secret) {
		return false
	}
	for _, h := range a.peers() {
		if h.configValue("node-name") == strings.TrimSuffix(secret, passwordSecretSuffix) {
			_ = h.setMarker("rejected.rke2-agent", "") // a machine that is gone has none
		}
	}
	return true
}
