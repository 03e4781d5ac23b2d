package daemon

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

func lockFile(f *os.File) (locked bool, err error) { return lockByFlock(f) }

func unlockFile(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_UN) }

func isLocked(f *os.File) (bool, error) { return isLockedByFlock(f) }

// canHaveWritten reports whether a process was there before the named file was last written. Which files a process has
// open cannot be read here without another program; the holder writes the file right after it has taken the lock, so a
// process that began later reuses the id of a former holder.
func canHaveWritten(pid int, name string) bool {
	info, err := os.Stat(name)
	if err != nil {
		return false
	}
	process, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return false
	}
	started := process.Proc.P_starttime
	return !time.Unix(started.Sec, int64(started.Usec)*int64(time.Microsecond)).After(info.ModTime())
}
