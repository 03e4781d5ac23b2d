package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/diskspace"
)

const (
	// diskSpaceCheckInterval is how often the room for the data is looked at.
	diskSpaceCheckInterval = 2 * time.Second
	// reclaimTimeout bounds what makes room in etcd's own database.
	reclaimTimeout = time.Minute
	// reclaimRetryDelay is how long the next try waits after one that made too little room, and reclaimRetryMaxDelay
	// what that doubles to: etcd answers nobody while its database is rewritten, not even deletes, which would make
	// room.
	reclaimRetryDelay    = 30 * time.Second
	reclaimRetryMaxDelay = 30 * time.Minute
)

// awaitDiskSpace returns once there is room to work. Servers that begin on a full disk end at once, or worse, half
// begun.
func awaitDiskSpace(ctx context.Context, dir string, log *slog.Logger) error {
	space, err := diskspace.ReadSpace(dir)
	if err != nil || !space.IsFull() {
		return err
	}
	log.Error(space.DescribeProblem() + ": waiting for room; " + diskspace.Hint)
	tick := time.NewTicker(diskSpaceCheckInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", space.DescribeProblem(), context.Cause(ctx))
		case <-tick.C:
		}
		if space, err = diskspace.ReadSpace(dir); err != nil {
			return err
		}
		if space.HasRoom() {
			log.Info("there is room again", "free_bytes", space.Free)
			return nil
		}
	}
}

// diskSpaceMonitor says of a full disk once when it becomes full and once when it is no more, and has etcd write again
// that refuses to.
type diskSpaceMonitor struct {
	cfg  *config.Config
	etcd *embed.Etcd
	log  *slog.Logger
	full bool
	// backOff is the pause after the last try to make room in etcd, which lasts until mendNext; both are zero where it
	// worked.
	backOff  time.Duration
	mendNext time.Time
}

func (w *diskSpaceMonitor) checkDiskSpace(ctx context.Context) {
	space, err := diskspace.ReadSpace(w.cfg.Dir)
	if err != nil {
		return // the servers have more to say about that
	}
	switch full := space.IsFull(); {
	case full && !w.full:
		w.full = true
		w.log.Error(space.DescribeProblem() + ": operations and sweeps stand still; " + diskspace.Hint)
	case !full && w.full && space.HasRoom():
		w.full = false
		w.log.Info("there is room again: operations and sweeps go on", "free_bytes", space.Free)
	}
	if alarms := spaceAlarms(w.etcd.Server.Alarms()); !w.full && len(alarms) > 0 && !time.Now().Before(w.mendNext) {
		err := w.reclaimEtcdSpace(ctx, alarms)
		w.backOff = nextReclaimDelay(w.backOff, err)
		w.mendNext = time.Now().Add(w.backOff)
		if err != nil {
			w.log.Error("etcd refuses writes, and could not be mended", "error", err, "again_in", w.backOff)
		}
	}
}

// spaceAlarms are those of etcd's alarms that room takes away. Of a corrupt database none is: that is for a person.
func spaceAlarms(all []*pb.AlarmMember) []*pb.AlarmMember {
	var found []*pb.AlarmMember
	for _, a := range all {
		if a.Alarm == pb.AlarmType_NOSPACE {
			found = append(found, a)
		}
	}
	return found
}

// nextReclaimDelay is the pause after a try that ended with err, when the pause before it was the given one.
func nextReclaimDelay(before time.Duration, err error) time.Duration {
	if err == nil {
		return 0
	}
	return min(max(2*before, reclaimRetryDelay), reclaimRetryMaxDelay)
}

// reclaimEtcdSpace ends the alarm that etcd raises when its database has come to its limit, and keeps until somebody
// takes it away: what was deleted and overwritten long ago is let go of, its room is given back, and etcd writes again
// where that was enough.
func (w *diskSpaceMonitor) reclaimEtcdSpace(ctx context.Context, alarms []*pb.AlarmMember) error {
	ctx, cancel := context.WithTimeout(ctx, reclaimTimeout)
	defer cancel()
	server := w.etcd.Server
	if _, err := server.Compact(ctx, &pb.CompactionRequest{Revision: server.KV().Rev(), Physical: true}); err != nil {
		w.log.Info("etcd's history was not compacted", "error", err) // it may be already
	}
	if err := server.Backend().Defrag(); err != nil {
		return fmt.Errorf("giving back room in etcd's database: %w", err)
	}
	if size := server.Backend().Size(); size >= etcdQuota {
		return fmt.Errorf("etcd's database has %d MiB, and its limit is %d MiB", size>>20, etcdQuota>>20)
	}
	for _, alarm := range alarms {
		off := &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, MemberID: alarm.MemberID, Alarm: alarm.Alarm}
		if _, err := server.Alarm(ctx, off); err != nil {
			return fmt.Errorf("ending etcd's alarm: %w", err)
		}
		w.log.Warn("etcd's database had come to its limit: its history was let go of, and it takes writes again")
	}
	return nil
}

// fatalErrorHandler is what happens where a server can't go on: etcd ends the process where it can't write, and so does
// Temporal.
type fatalErrorHandler struct {
	dir string
	// again starts the program anew; nil where it can only end.
	again func()
	log   *slog.Logger
}

// OnWrite implements zapcore.CheckWriteHook; it does not return.
func (l fatalErrorHandler) OnWrite(entry *zapcore.CheckedEntry, _ []zapcore.Field) {
	l.restartIfDiskFull(entry.Message)
	os.Exit(1)
}

// restartIfDiskFull starts the program anew where it ends for want of room: it then waits for room, and nobody has to
// start it again.
func (l fatalErrorHandler) restartIfDiskFull(why string) {
	space, err := diskspace.ReadSpace(l.dir)
	if l.again == nil || err != nil || space.HasRoom() && diskspace.CheckWritable(l.dir) == nil {
		return
	}
	l.log.Error("a server can't write and ends; all begin anew once there is room", "reason", why, "disk",
		space.DescribeProblem())
	l.again()
}

func newZapLogger(log *slog.Logger, words fatalErrorHandler) *zap.Logger {
	return zap.New(etcdCore{log.With("component", "etcd")}, zap.WithFatalHook(words))
}
