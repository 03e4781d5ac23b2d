// Package remote does things to machines over SSH: it runs scripts as root, writes, uploads and reads files, with host
// keys pinned and one connection per machine.
//
// Everything in it may be called again after it was cut short at any instant. A script ends with its connection: when
// the caller cancels, dies, or the network goes, the far side stops what it was doing. Files appear under their final
// name whole or not at all.
package remote

// Target is a machine to log in to.
type Target struct {
	// Name is how errors call the machine.
	Name    string
	Address string
	// Port is 22 where it is 0.
	Port int
	// User may be root, or one who may run anything by sudo without a password.
	User string
	// HostKey is the pinned host key in authorized_keys form; "" pins the key of the first contact (see Host.HostKey).
	HostKey string
}
