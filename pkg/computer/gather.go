package computer

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/diskspace"
)

// Options of a look at the computer.
type Options struct {
	// Root is the directory in which the files of the system are; "" is the root directory. Tests set it.
	Root string
	// Env returns a variable of the environment.
	Env func(string) string
	// StateDir is the directory of skyd's data, which need not exist yet; "" leaves it out.
	StateDir string
	// Ports are those that skyd is to have.
	Ports []Port
}

// gatherTimeout bounds the programs that a look at the computer runs.
const gatherTimeout = 5 * time.Second

// GatherFacts reads the facts about the computer, all but those of its Docker engine. It changes nothing, but writes
// and removes a small file in StateDir.
func GatherFacts(ctx context.Context, o Options) Facts {
	ctx, cancel := context.WithTimeout(ctx, gatherTimeout)
	defer cancel()
	f := Facts{Root: os.Geteuid() == 0, Modules: o.readModules(), Clock: o.readClock(),
		Proxies: readProxies(o.Env), Container: o.findContainer(), Ports: findTaken(o.Ports)}
	f.Capabilities = parseCapabilities(o.read("proc/self/status"))
	f.CgroupVersion, f.Controllers = o.readCgroups()
	meminfo := o.read("proc/meminfo")
	f.MemoryTotal, f.MemoryAvailable = parseMemory(meminfo, "MemTotal:"), parseMemory(meminfo, "MemAvailable:")
	f.Interfaces = o.readInterfaces()
	f.Routes = parseRoutes(o.read("proc/net/route"))
	f.InotifyInstances = o.readNumber("proc/sys/fs/inotify/max_user_instances")
	f.InotifyWatches = o.readNumber("proc/sys/fs/inotify/max_user_watches")
	if f.Root && o.Root == "" {
		f.ForwardRules = listForwardRules(ctx)
	}
	f.BridgeFilter = o.readNumber("proc/sys/net/bridge/bridge-nf-call-iptables") == 1
	if o.StateDir != "" {
		f.State = inspectStateDir(o.StateDir)
	}
	return f
}

// ReadWayOutMTU returns the size of packets on the interface of the default route, in bytes; 0 if it is unknown.
func ReadWayOutMTU() int {
	o := Options{}
	_, out := Facts{Interfaces: o.readInterfaces(), Routes: parseRoutes(o.read("proc/net/route"))}.findWayOut()
	return out.MTU
}

func (o Options) path(name string) string { return filepath.Join("/", o.Root, name) }

// read returns the content of a file of the system; "" if it cannot be read.
func (o Options) read(name string) string {
	data, err := os.ReadFile(o.path(name))
	if err != nil {
		return ""
	}
	return string(data)
}

func (o Options) exists(name string) bool {
	_, err := os.Stat(o.path(name))
	return err == nil
}

func (o Options) readNumber(name string) int {
	n, _ := strconv.Atoi(strings.TrimSpace(o.read(name)))
	return n
}

// readProxies reads the variables that net/http reads.
func readProxies(env func(string) string) Proxies {
	if env == nil {
		return Proxies{}
	}
	either := func(name string) string {
		if v := env(name); v != "" {
			return v
		}
		return env(strings.ToLower(name))
	}
	return Proxies{HTTP: either("HTTP_PROXY"), HTTPS: either("HTTPS_PROXY"), No: either("NO_PROXY")}
}

// readInterfaces returns the network interfaces with their MTUs.
func (o Options) readInterfaces() map[string]Interface {
	all := map[string]Interface{}
	names, _ := filepath.Glob(o.path("sys/class/net/*/mtu"))
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		if mtu, err := strconv.Atoi(strings.TrimSpace(string(data))); err == nil {
			all[filepath.Base(filepath.Dir(name))] = Interface{MTU: mtu}
		}
	}
	return all
}

// readCgroups returns the version of cgroups, and the controllers.
func (o Options) readCgroups() (version int, controllers []string) {
	if text := o.read("sys/fs/cgroup/cgroup.controllers"); text != "" {
		return 2, strings.Fields(text)
	}
	// Version 1 lists them all, with 1 in the last column of those that are enabled.
	for line := range strings.Lines(o.read("proc/cgroups")) {
		if words := strings.Fields(line); len(words) == 4 && words[3] == "1" {
			controllers = append(controllers, words[0])
		}
	}
	if len(controllers) == 0 {
		return 0, nil
	}
	return 1, controllers
}

// findContainer returns the kind of container that this process runs in.
func (o Options) findContainer() string {
	switch {
	case o.exists(".dockerenv"):
		return "docker"
	case o.exists("run/.containerenv"):
		return "podman"
	}
	return strings.TrimSpace(o.read("run/systemd/container"))
}

// moduleMarks are files that exist where the kernel has a part in use, beside /sys/module.
var moduleMarks = map[string]string{
	moduleBridge:   "proc/sys/net/bridge",
	moduleIPTables: "proc/net/ip_tables_names",
}

// readModules returns which of the modules that hosts need are there. Those of a kernel without a list are unknown,
// unless they are in use.
func (o Options) readModules() map[string]bool {
	found := map[string]bool{}
	dir := filepath.Join("lib/modules", strings.TrimSpace(o.read("proc/sys/kernel/osrelease")))
	builtin, loadable := o.read(filepath.Join(dir, "modules.builtin")), o.read(filepath.Join(dir, "modules.dep"))
	inUse := strings.Fields(o.read("proc/filesystems"))
	for _, m := range []string{moduleOverlay, moduleVXLAN, moduleBridge, moduleIPTables, moduleNFTables} {
		file := "/" + m + ".ko"
		switch mark := moduleMarks[m]; {
		case o.exists("sys/module/" + m), mark != "" && o.exists(mark), slices.Contains(inUse, m),
			strings.Contains(builtin, file), strings.Contains(loadable, file):
			found[m] = true
		case builtin != "" && loadable != "":
			found[m] = false
		}
	}
	return found
}

// listForwardRules returns iptables' rules for forwarded packets; none if they cannot be read.
func listForwardRules(ctx context.Context) []string {
	out, err := exec.CommandContext(ctx, "iptables", "-w", "2", "-S", "FORWARD").Output()
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// syncFile is the beginning of the name of the file with which the disk is measured.
const syncFile = ".skyctl-sync-"

// inspectStateDir reads the facts about a directory, or about the nearest one that exists above it.
func inspectStateDir(dir string) StateDir {
	s := StateDir{Path: dir}
	at := dir
	for at != filepath.Dir(at) {
		if info, err := os.Stat(at); err == nil && info.IsDir() {
			break
		}
		at = filepath.Dir(at)
	}
	s.FileSystem = findNetworkFileSystemOf(at)
	s.Space, _ = diskspace.ReadSpace(at)
	s.SyncLatency = measureSync(at, maxSyncTime)
	return s
}

const (
	syncWrites = 9
	// maxSyncTime bounds the measurement of a very slow disk.
	maxSyncTime = time.Second
)

// measureSync measures how long it takes to append a page to a file and to sync it: the median of a few times, or of
// those that begin within a time limit, but of one at least; 0 if that is not possible.
func measureSync(dir string, limit time.Duration) time.Duration {
	file, err := os.CreateTemp(dir, syncFile)
	if err != nil {
		return 0
	}
	defer os.Remove(file.Name())
	defer file.Close()
	var took []time.Duration
	page := make([]byte, 4096)
	for start := time.Now(); len(took) == 0 || len(took) < syncWrites && time.Since(start) < limit; {
		before := time.Now()
		if _, err := file.Write(page); err != nil {
			return 0
		}
		if err := file.Sync(); err != nil {
			return 0
		}
		took = append(took, time.Since(before))
	}
	slices.Sort(took)
	return took[len(took)/2]
}
