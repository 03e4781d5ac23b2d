package computer

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// networkFileSystems are the types of file systems that statfs(2) reports for those of a network.
var networkFileSystems = map[int64]string{
	0x6969:     "NFS",
	0xFF534D42: "CIFS",
	0xFE534D42: "SMB",
	0x5346414F: "AFS",
	0x6B414653: "AFS",
	0x73757245: "Coda",
	0x0BD00BD0: "Lustre",
	0x00C36400: "CephFS",
	0x47504653: "GPFS",
	0x19830326: "BeeGFS",
	0x01021997: "9P, such as a directory of Windows in WSL",
}

// findNetworkFileSystemOf returns the kind of the file system of a directory if it is one of a network.
func findNetworkFileSystemOf(dir string) string {
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) != nil {
		return ""
	}
	return networkFileSystems[int64(fs.Type)&0xFFFFFFFF]
}

const (
	// timeError is the state of adjtimex(2) of a clock that is not synchronized.
	timeError = 5
	// syncMark is written by systemd-timesyncd once it has set the clock since boot.
	syncMark = "run/systemd/timesync/synchronized"
	// lastSync is a file whose time systemd-timesyncd sets to the time that it last knew.
	lastSync = "var/lib/systemd/timesync/clock"
)

// readClock asks the kernel about its clock, without a change.
func (o Options) readClock() Clock {
	c := Clock{Now: time.Now()}
	var query unix.Timex
	if state, err := unix.Adjtimex(&query); err == nil {
		c.Known, c.Synchronized = true, state != timeError || o.exists(syncMark)
	}
	if program, err := os.Executable(); err == nil {
		c.notePast(program, "the time at which "+program+" was written")
	}
	c.notePast(o.path(lastSync), "the time at which it was last set")
	return c
}

// notePast remembers the time of a file, if it is later than what is known.
func (c *Clock) notePast(name, how string) {
	if info, err := os.Stat(name); err == nil && info.ModTime().After(c.Past) {
		c.Past, c.PastBy = info.ModTime(), how
	}
}
