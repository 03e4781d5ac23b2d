// Package remote works on machines over SSH: it runs scripts as root and writes, uploads and reads files, with pinned
// host keys and one connection per machine.
//
// All functions can be called again after an interruption at any point. A script ends with its connection: if the
// caller cancels or crashes, or the network fails, the machine stops the script. A file appears under its final name
// complete or not at all.
package remote

import (
	"cmp"
	"net"
	"strconv"
)

// Target is a machine to log in to.
type Target struct {
	// Name is the name of the machine in errors, and for a gateway.
	Name string
	// ClusterUID is the UID of the machine's cluster, for a gateway; see Routes.
	ClusterUID string
	Address    string
	// Port defaults to 22.
	Port int
	// User is root, or a user with passwordless sudo.
	User string
	// HostKey is the pinned host key in authorized_keys form; "" pins the key of the first contact (see Host.HostKey).
	HostKey string
	// Direct has the machine reached without a bastion, and Bastion through this one. Otherwise the pool's Routes say
	// it.
	Direct  bool
	Bastion Bastion
	// bastion is set if the target is a bastion.
	bastion Bastion
}

func (t Target) hostPort() string {
	return net.JoinHostPort(t.Address, strconv.Itoa(cmp.Or(t.Port, defaultPort)))
}
