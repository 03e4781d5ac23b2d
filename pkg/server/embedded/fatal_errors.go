package embedded

import (
	"log/slog"
	"os"

	"go.uber.org/zap/zapcore"

	"github.com/sky-shift/skyctl/pkg/diskspace"
)

// fatalErrorHandler handles the fatal errors of servers: etcd and Temporal end the process when they cannot write.
type fatalErrorHandler struct {
	dir string
	// restart starts the program again; nil if it can only exit.
	restart func()
	log     *slog.Logger
}

// OnWrite implements zapcore.CheckWriteHook; it does not return.
func (h fatalErrorHandler) OnWrite(entry *zapcore.CheckedEntry, _ []zapcore.Field) {
	h.restartIfDiskFull(entry.Message)
	os.Exit(1)
}

// restartIfDiskFull starts the program again if a full disk stops it. The new process waits for free space, so nobody
// has to start it.
func (h fatalErrorHandler) restartIfDiskFull(why string) {
	space, err := diskspace.ReadSpace(h.dir)
	if h.restart == nil || err != nil || space.HasRoom() && diskspace.CheckWritable(h.dir) == nil {
		return
	}
	h.log.Error("a server can't write and stops; all servers start again once there is free space", "reason", why,
		"disk", space.DescribeProblem())
	h.restart()
}
