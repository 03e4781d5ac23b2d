package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// DefaultGatewayPort is the port of the gateway in docker-compose.yml and in the chart.
const DefaultGatewayPort = 7222

// Gateway configures the way to machines through a worker.
type Gateway struct {
	Listen  string // host:port at which a worker passes on connections to machines; empty: it does not
	Address string // host:port of a worker through which skyctl reaches all machines; empty: it reaches them itself
}

func gatewaySettings() []setting {
	return []setting{
		textSetting("gateway.listen", "", "", noProgram, func(c *Config) *string { return &c.Gateway.Listen },
			CheckGatewayAddress),
		textSetting("gateway.address", "", "", noProgram, func(c *Config) *string { return &c.Gateway.Address },
			CheckGatewayAddress),
	}
}

// CheckGatewayAddress returns an error that says what an address of a gateway is like, if v is none.
func CheckGatewayAddress(v string) error {
	if checkHostPort(v) != nil {
		return errors.New("host:port without a scheme, such as skyctl.example.com:7222, or 0.0.0.0:7222 to listen " +
			"on all addresses")
	}
	return nil
}

// checkGateway rejects a gateway without certificates, one of skyd dev that others could reach, and two ways to
// machines at the same time.
func (c *Config) checkGateway(sources map[string]string) error {
	const listen, address = "gateway.listen", "gateway.address"
	for _, key := range []string{listen, address} {
		if sources[key] == "" || !c.external {
			continue
		}
		for _, file := range [][2]string{{"etcd.tls.ca", c.Etcd.TLS.CA}, {"etcd.tls.cert", c.Etcd.TLS.Cert}} {
			if name, value := file[0], file[1]; value == "" {
				return fmt.Errorf("%s is set (%s) but %s is not: the two ends of a gateway know each other by the "+
					"certificates with which they reach etcd; set %s", key, sources[key], name, c.HowToSet(name))
			}
		}
	}
	if sources[listen] != "" && !c.external && !isLoopback(c.Gateway.Listen) {
		return fmt.Errorf("%s is %q (%s), but skyd dev is for this computer only: use a loopback address such as %s, "+
			"or run skyd worker for a team", listen, c.Gateway.Listen, sources[listen],
			LoopbackAddress(DefaultGatewayPort))
	}
	if sources[address] != "" && sources["ssh.proxyJump"] != "" {
		return fmt.Errorf("%s (%s) and ssh.proxyJump (%s) are both set: machines are reached either way; unset one of "+
			"the two. The gateway uses the bastion of its own computer", address, sources[address],
			sources["ssh.proxyJump"])
	}
	return nil
}

func isLoopback(hostPort string) bool {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// GatewayClientTLS returns the TLS configuration with which skyctl connects to gateway.address: the certificate for
// etcd, and the name of the gateway's own host.
func (c *Config) GatewayClientTLS() (*tls.Config, error) {
	own := c.Etcd.TLS
	own.ServerName = ""
	return own.ClientConfig()
}

// GatewayServerTLS returns the TLS configuration of the gateway: the certificate with which the worker reaches etcd,
// which has to be one of a server too. skyd dev has one for its servers.
func (c *Config) GatewayServerTLS() (*tls.Config, error) {
	if !c.external {
		return TLS{CA: c.PKIFile("ca.crt"), Cert: c.PKIFile("server.crt"), Key: c.PKIFile("server.key")}.serverConfig()
	}
	return c.Etcd.TLS.serverConfig()
}
