// Package gateway is a way to the SSH ports of machines through a worker, for people whose computers reach the worker
// but not the machines. The worker is an HTTP server to which a person's skyctl sends CONNECT (RFC 9110, 9.3.6) over
// TLS, with certificates on both sides.
//
// A request names a machine and never an address: the server connects only to what is on record in etcd. It passes on
// bytes, so SSH stays encrypted and authenticated from the person's computer to the machine.
package gateway

import (
	"net"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// sshPort is the port in requests. It stands for the machine's SSH port, whatever its number is.
const sshPort = "22"

// healthPath answers a GET with the version of the server.
const healthPath = "/healthz"

// formatAuthority returns the target of a request for a machine.
func formatAuthority(machine, clusterUID string) string {
	return net.JoinHostPort(machine+"."+clusterUID, sshPort)
}

// parseAuthority takes the target of a request apart: the machine's name, its index, and its cluster.
func parseAuthority(authority string) (machine string, index int, cluster api.Ref, ok bool) {
	host, port, err := net.SplitHostPort(authority)
	dot := strings.LastIndexByte(host, '.') // a UID has none
	if err != nil || port != sshPort || dot < 0 || dot == len(host)-1 {
		return "", 0, api.Ref{}, false
	}
	machine = host[:dot]
	name, index, ok := api.ParseMachineName(machine)
	if !ok || api.ValidateStoredName(name) != nil {
		return "", 0, api.Ref{}, false
	}
	return machine, index, api.Ref{Name: name, UID: host[dot+1:]}, true
}
