// Package sshtarget says where and how to log in to the machines of a cluster.
package sshtarget

import (
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
)

// Of returns where to log in to a machine of a cluster: with the host key on record, and through the cluster's bastion
// if it has one of its own.
func Of(c *api.Cluster, m *api.Machine) remote.Target {
	t := remote.Target{Name: m.Name, ClusterUID: c.Metadata.UID, Address: m.Address, Port: m.SSHPort, User: m.SSHUser,
		HostKey: m.HostKey}
	if s := c.Spec.SSH; s.HasBastion() {
		jump, ok := api.ParseJumpHost(s.ProxyJump)
		if !ok { // a damaged record must not lead elsewhere
			jump.Host = s.ProxyJump
		}
		t.Bastion = NewBastion(jump, s.ProxyJumpHostKey, s.ProxyJumpSecret)
	} else if s.ProxyJump == api.ProxyJumpNone {
		t.Direct = true
	}
	return t
}

// NewBastion returns a bastion whose private key is in a secret. None is the zero value.
func NewBastion(j api.JumpHost, hostKey, secret string) remote.Bastion {
	if j.Host == "" {
		return remote.Bastion{}
	}
	return remote.Bastion{User: j.User, Address: j.Host, Port: j.Port, HostKey: hostKey, Secret: secret}
}
