package computer

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"slices"
	"strconv"
	"time"
)

// JudgeEngineError says why an engine cannot be asked, from the error of the attempt; noConnection: it never answered.
func JudgeEngineError(err error, noConnection bool) EngineState {
	switch {
	case errors.Is(err, os.ErrPermission):
		return EngineForbidden
	case !noConnection:
		return EngineSilent
	}
	// sbin is not in everyone's PATH.
	for _, name := range []string{"dockerd", "/usr/sbin/dockerd", "/usr/bin/dockerd", "/usr/local/bin/dockerd"} {
		if _, err := exec.LookPath(name); err == nil {
			return EngineNotRunning
		}
	}
	return EngineAbsent
}

// IsNewGroupMember reports whether this user is a member of the group docker, but this process is not.
func IsNewGroupMember() bool {
	group, err := user.LookupGroup("docker")
	if err != nil {
		return false
	}
	me, err := user.Current()
	if err != nil {
		return false
	}
	recorded, err := me.GroupIds()
	own, ownErr := os.Getgroups()
	id, idErr := strconv.Atoi(group.Gid)
	return errors.Join(err, ownErr, idErr) == nil && slices.Contains(recorded, group.Gid) && !slices.Contains(own, id)
}

const (
	// UsualEngine is where an engine listens, if DOCKER_HOST is not set.
	UsualEngine = "unix:///var/run/docker.sock"
	dialTimeout = 5 * time.Second
)

// ProbeEngine tries whether an engine on this computer accepts connections, for when no worker can ask it more.
func ProbeEngine(ctx context.Context, address string, f Facts) Engine {
	e := Engine{Address: address}
	at, err := url.Parse(address)
	if err != nil || at.Scheme != "unix" {
		return e
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	connection, err := (&net.Dialer{}).DialContext(ctx, "unix", at.Path)
	if err != nil {
		e.State = JudgeEngineError(err, true)
		e.InGroup = e.State == EngineForbidden && IsNewGroupMember()
		return e
	}
	connection.Close()
	e.State, e.CPUs, e.MemoryGiB = EngineAnswers, runtime.NumCPU(), f.MemoryTotal
	return e
}
