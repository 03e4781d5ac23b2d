package computer

import (
	"net/netip"
	"time"

	"github.com/sky-shift/skyctl/pkg/diskspace"
)

// Facts are what is known about the computer of skyd. A fact that could not be read has its zero value, and no rule
// finds anything because of it.
type Facts struct {
	// Container is the kind of container that this process runs in, such as docker; "" if it is none or unknown.
	Container string
	// Root: this process may change settings of the kernel.
	Root bool
	// Capabilities is the capability bounding set.
	Capabilities uint64
	// CgroupVersion is 1 or 2, and Controllers are the cgroup controllers of the kernel.
	CgroupVersion int
	Controllers   []string
	// MemoryTotal and, without swapping, MemoryAvailable are in GiB.
	MemoryTotal, MemoryAvailable float64
	// Interfaces are the network interfaces by name, Routes those of IPv4.
	Interfaces map[string]Interface
	Routes     []Route
	// Modules are parts of the kernel: true if they are there or can be loaded, false if not; unknown ones are left
	// out.
	Modules map[string]bool
	// InotifyInstances and InotifyWatches are the kernel's limits for each user.
	InotifyInstances, InotifyWatches int
	// ForwardRules are iptables' rules for packets that the computer forwards, as iptables -S FORWARD prints them.
	ForwardRules []string
	// BridgeFilter: packets from one host to another go through these rules too.
	BridgeFilter bool
	Proxies      Proxies
	Clock        Clock
	State        StateDir
	// Ports are those of skyd that other programs have.
	Ports  []Port
	Engine Engine
}

// Interface is a network interface. MTU is in bytes.
type Interface struct {
	MTU int
}

// Route is a route of IPv4.
type Route struct {
	To        netip.Prefix
	Interface string
}

// Proxies are the settings by which a program reaches others through a proxy.
type Proxies struct {
	HTTP, HTTPS, No string
}

// IsSet reports whether there is a proxy.
func (p Proxies) IsSet() bool { return p.HTTP != "" || p.HTTPS != "" }

// Clock is what the computer itself knows about its clock.
type Clock struct {
	Now time.Time
	// Known: the kernel said whether the clock is Synchronized.
	Known, Synchronized bool
	// Past is a time that has certainly passed, and PastBy how that is known.
	Past   time.Time
	PastBy string
}

// StateDir is the directory of skyd's data.
type StateDir struct {
	Path string
	// FileSystem is its kind if it is one of a network, such as NFS.
	FileSystem string
	Space      diskspace.Space
	// SyncLatency is how long it usually takes to get a small file onto the disk; 0 if it was not measured.
	SyncLatency time.Duration
}

// EngineState is whether a Docker engine can be used.
type EngineState string

// The states of an engine. EngineUnknown: nobody asked.
const (
	EngineUnknown    EngineState = ""
	EngineAnswers    EngineState = "answers"
	EngineAbsent     EngineState = "absent"
	EngineNotRunning EngineState = "not running"
	EngineForbidden  EngineState = "forbidden"
	EngineSilent     EngineState = "silent"
)

// Engine is what the Docker engine says about itself and its computer.
type Engine struct {
	Address string
	State   EngineState
	// InGroup: the person is a member of the group that may use the engine, but not yet in this session.
	InGroup bool
	// Answer is what went wrong if State is EngineSilent.
	Answer string

	Version, System, Product string
	// Host is the name of its computer, and OwnHost that of ours.
	Host, OwnHost            string
	Rootless, UserNamespaces bool
	// Driver is the storage driver. NoFileTypes: its file system does not say what kind a file is (d_type).
	Driver      string
	NoFileTypes bool
	CPUs        int
	MemoryGiB   float64
	RootDir     string
	Space       diskspace.Space // of RootDir; Total is 0 if it is unknown
	// NoForwarding: the kernel does not forward packets.
	NoForwarding bool
	Proxies      Proxies
	// Skew is how far its clock is ahead of ours.
	Skew     time.Duration
	Networks []Network
	// Pools are the ranges from which it chooses the subnets of new networks.
	Pools []netip.Prefix
	// Hosts are the Docker hosts that run on the engine, and NewHosts those of a cluster that is being created, if one
	// is.
	Hosts, NewHosts HostTotals
}

// Network is a network of the engine. MTU is in bytes. Own: it is that of this installation's hosts.
type Network struct {
	Name    string
	Own     bool
	Subnets []netip.Prefix
	MTU     int
}

// HostTotals are Docker hosts with the sums of their limits.
type HostTotals struct {
	Count           int
	CPUs, MemoryGiB float64
}
