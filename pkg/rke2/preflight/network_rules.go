package preflight

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/rke2"
)

// takenPorts are the ports of RKE2 on every node, with who listens there (docs.rke2.io/install/requirements "Inbound
// Network Rules"; k3s-io/k3s pkg/agent for the ports on loopback).
var (
	nodePorts = map[int]string{KubeletPort.Number: KubeletPort.Server, 10248: "the kubelet's health check",
		10249: "kube-proxy", 10256: "kube-proxy", 10010: "containerd"}
	serverPorts = map[int]string{rke2.SupervisorPort: HeadSupervisorPort.Server, rke2.APIPort: HeadAPIPort.Server,
		2379: "etcd", 2380: "etcd", 2381: "etcd", 10257: "the controller manager", 10259: "the scheduler"}
	agentPorts = map[int]string{6443: "the agent's way to the API server", 6444: "the agent's way to the supervisor"}
	// ingressPorts are those of an ingress controller on every node.
	ingressPorts = map[int]string{80: "the ingress controller", 443: "the ingress controller"}
)

// supervisorProgram is what listens on RKE2's ports while it pulls the images of its first start.
const supervisorProgram = "rke2"

// findTakenPorts reports programs that listen where RKE2 will. Once RKE2 has run, its own programs listen there.
func findTakenPorts(f Facts, r Requirements) []Finding {
	if f.HasRun {
		return nil
	}
	roleSpecific := agentPorts
	if r.Role == api.RoleHead {
		roleSpecific = serverPorts
	}
	var found []Finding
	told := map[string]bool{}
	for _, l := range f.Listeners {
		if l.program == supervisorProgram || !l.conflictsAt(r.Address) {
			continue
		}
		port, program := strconv.Itoa(l.port)+"/tcp", l.program
		needed, find := "", newProblem
		switch {
		case l.udp:
			port = strconv.Itoa(l.port) + "/udp"
			if l.port == r.Overlay.Number {
				needed = r.Overlay.Server
			}
		case nodePorts[l.port] != "":
			needed = nodePorts[l.port]
		case roleSpecific[l.port] != "":
			needed = roleSpecific[l.port]
		case ingressPorts[l.port] != "":
			needed, find = ingressPorts[l.port], newWarning
		}
		if needed == "" || told[port] {
			continue
		}
		told[port] = true
		if program == "" {
			program = "a program"
		}
		found = append(found, find(checkPorts, "stop it, or use an image without it",
			"%s listens on port %s, which %s needs", program, port, needed))
	}
	return found
}

// conflictsAt reports whether the socket takes its port on loopback or at the machine's address.
func (l listener) conflictsAt(address string) bool {
	ip := net.ParseIP(l.address)
	return ip == nil || ip.IsUnspecified() || ip.IsLoopback() || l.address == address
}

// parseListener parses a line of ss -Hlntup: tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=1,fd=3)).
func parseListener(f *Facts, line string) {
	words := strings.Fields(line)
	if len(words) < 5 {
		return
	}
	at := strings.LastIndex(words[4], ":")
	port, err := strconv.Atoi(words[4][at+1:])
	if at < 0 || err != nil {
		return
	}
	address, _, _ := strings.Cut(strings.Trim(words[4][:at], "[]"), "%") // an interface may follow
	l := listener{udp: words[0] == "udp", port: port, address: strings.TrimSuffix(address, "]")}
	if len(words) > 6 {
		if parts := strings.Split(words[6], `"`); len(parts) > 1 {
			l.program = parts[1]
		}
	}
	f.Listeners = append(f.Listeners, l)
}

// findFirewalls reports firewalls of the machine itself that keep others from its ports. Whether a port is closed shows
// only when a machine tries to reach it: see PortTrial.
func findFirewalls(f Facts, _ Requirements) []Finding {
	var found []Finding
	if f.Units[unitFirewalld] {
		found = append(found, newProblem(checkFirewall, "systemctl disable --now firewalld",
			"firewalld runs: it breaks the pod network (docs.rke2.io/known_issues)"))
	}
	const ports = "open 9345/tcp and 6443/tcp of the head, 10250/tcp and 8472/udp of all machines to the cluster's " +
		"machines, and all ports to the ranges of pods and Services"
	switch {
	case f.UFW:
		found = append(found, newWarning(checkFirewall, "ufw disable, or "+ports,
			"ufw is enabled: it may keep the cluster's machines and pods from each other"))
	case rejectsInput(f.InputRules) && !f.Units[unitFirewalld]:
		found = append(found, newWarning(checkFirewall, ports,
			"its iptables reject what no rule accepts: they may keep the cluster's machines and pods from each other"))
	}
	return found
}

// rejectsInput reports whether iptables -S INPUT ends with a rejection of everything that no rule before accepts.
func rejectsInput(rules []string) bool {
	for _, rule := range rules {
		words := strings.Fields(rule)
		if len(words) < 3 || words[1] != "INPUT" {
			continue
		}
		at := slices.Index(words, "-j")
		switch {
		case words[0] == "-P":
			if words[2] != "ACCEPT" && !slices.ContainsFunc(rules, acceptsAll) {
				return true
			}
		case acceptsAll(rule):
			return false
		case at == 2 && (words[3] == "REJECT" || words[3] == "DROP"):
			return true
		}
	}
	return false
}

// acceptsAll reports whether a rule accepts all connections that come from other machines.
func acceptsAll(rule string) bool {
	words := strings.Fields(rule)
	if len(words) < 4 || words[0] != "-A" || words[1] != "INPUT" || !strings.HasSuffix(rule, "-j ACCEPT") {
		return false
	}
	for i := 2; i < len(words)-2; i++ {
		switch words[i] {
		case "-i":
			if words[i+1] == "lo" {
				return false
			}
		case "--state", "--ctstate":
			if !slices.Contains(strings.Split(words[i+1], ","), "NEW") {
				return false
			}
		case "-m":
			if !slices.Contains([]string{"state", "conntrack", "comment"}, words[i+1]) {
				return false
			}
		case "--comment":
		default:
			return false
		}
		i++ // its value
	}
	return true
}

func findMissingNameServer(f Facts, _ Requirements) []Finding {
	if f.NameServers > 0 {
		return nil
	}
	return []Finding{newWarning(checkDNS, "set a name server that the machine can reach",
		"it has no name server in /etc/resolv.conf: it cannot resolve the names of registries, and its pods get "+
			"8.8.8.8")}
}

// findUnresolvedRegistries reports a name server that does not answer, or does not know where images come from. It is a
// warning: it may answer later, and the images may be in the machine's image.
func findUnresolvedRegistries(f Facts, r Requirements) []Finding {
	var found []Finding
	for _, name := range r.Registries {
		if there, tried := f.Resolved[name]; tried && !there && f.NameServers > 0 {
			found = append(found, newWarning(checkDNS, "set a name server that answers and knows it, or use a mirror "+
				"(rke2.registries), a proxy (rke2.env) or archives of images (rke2.images)",
				"it cannot resolve %s within 5 s, from which RKE2 pulls its images", name))
		}
	}
	return found
}

// The exit statuses of curl that say more (curl(1)).
const (
	curlNoProxyName = 5
	curlNoName      = 6
	curlTimeout     = 28
)

// isNameUnknown reports whether the name of the source, or that of the proxy to it, could not be resolved.
func (s sourceContact) isNameUnknown() bool {
	return s.status == curlNoName || s.status == curlNoProxyName ||
		s.status == curlTimeout && strings.Contains(s.message, "Resolving timed out")
}

// findUnreachableSource reports a source that the machine does not reach now. It is a warning: the download tries
// again.
func findUnreachableSource(f Facts, r Requirements) []Finding {
	if f.Source == nil || f.Source.status == 0 || f.Release != "" {
		return nil
	}
	check, fix := checkSource, "allow it in the firewall or proxy, or set rke2.source to a mirror that machines reach"
	if f.Source.isNameUnknown() {
		check, fix = checkDNS, "set a name server that knows it, or set rke2.source to a mirror that machines reach"
	}
	return []Finding{newWarning(check, fix, "it does not reach RKE2's source %s: %s", r.SourceURL,
		strings.TrimSpace(f.Source.message))}
}

// NewUnusableEnvFinding says that a secret of a cluster's rke2.env is missing or unusable, so that the machine was not
// asked to reach the source of RKE2 through the proxy in it.
func NewUnusableEnvFinding(err error) Finding {
	return newWarning(checkSource, "create the secret again: skyctl create secret --help",
		"the variables of rke2.env have no usable value, and RKE2 cannot be started again: %v", err)
}

// NewUnreadEnvFinding says that a cluster's rke2.env could not be read now, with the same consequence.
func NewUnreadEnvFinding(err error) Finding {
	return newWarning(checkSource, "check again later", "the variables of rke2.env cannot be read now, so it was not "+
		"asked to reach RKE2's source: %v", err)
}

// peerContact is how an attempt to reach a port of another machine ended.
type peerContact struct {
	// reached: it answered, if only with a rejection.
	reached bool
	message string
}

// parsePeer parses ADDRESS STATUS MESSAGE, with the status of bash, or of timeout if nothing answered.
func parsePeer(f *Facts, line string) {
	address, rest, _ := strings.Cut(line, " ")
	status, message, _ := strings.Cut(rest, " ")
	c := peerContact{reached: status == "0" || strings.Contains(message, "refused"), message: "no answer within 3 s"}
	if _, why, ok := strings.Cut(message, "connect: "); ok {
		c.message = why
	}
	f.Contacts[address] = c
}

// findUnreachablePeers reports machines of the cluster that do not answer at all. It is a warning: they may still boot,
// or accept only what RKE2 needs.
func findUnreachablePeers(f Facts, r Requirements) []Finding {
	var found []Finding
	for _, p := range r.Peers {
		if c, tried := f.Contacts[p.Address]; tried && !c.reached {
			found = append(found, newWarning(checkReach,
				"let the machines of a cluster reach each other in the cloud's firewall and in their own",
				"it does not reach %s at its private address %s: %s", p.Name, p.Address, c.message))
		}
	}
	return found
}

// FindSmallPackets reports a machine whose network takes smaller packets than pods of the cluster send to other
// machines. mtu is that of its interface, in bytes, or 0.
func FindSmallPackets(mtu int, r Requirements) []Finding {
	room := rke2.PodMTU(mtu, r.WireGuard)
	if mtu == 0 || r.PodMTU == 0 || room >= r.PodMTU {
		return nil
	}
	return []Finding{newWarning(checkMTU, fmt.Sprintf(
		"use machines whose network takes packets of %d bytes, as that of "+
			"the head does", mtu+r.PodMTU-room),
		"its network takes packets of %d bytes, and those of pods need %d on their way to other machines: large ones "+
			"are lost", mtu, mtu+r.PodMTU-room)}
}

func findSmallPackets(f Facts, r Requirements) []Finding { return FindSmallPackets(f.MTU, r) }

// NewClosedPortFinding says that a machine does not reach a port of another one that listens there.
func NewClosedPortFinding(from, to string, p Port, contact PortContact) Finding {
	how := "connections get no answer"
	if contact == PortRejected {
		how = "connections are rejected"
	}
	return newProblem(checkReach, fmt.Sprintf("open %s from %s to %s in the cloud's firewall and in the machines' own",
		p, from, to), "%s cannot reach port %s of %s, on which %s listens: %s", from, p, to, p.Server, how)
}
