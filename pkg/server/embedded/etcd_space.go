package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/embed"
)

const (
	// reclaimTimeout bounds one attempt to make room in etcd's database.
	reclaimTimeout = time.Minute
	// reclaimRetryDelay is the pause after an attempt that freed too little; it doubles up to reclaimRetryMaxDelay.
	// While its database is rewritten, etcd answers no requests, not even deletes, which would make room.
	reclaimRetryDelay    = 30 * time.Second
	reclaimRetryMaxDelay = 30 * time.Minute
)

// etcdSpaceReclaimer makes room in etcd's database when etcd refuses writes because the database has reached its limit.
type etcdSpaceReclaimer struct {
	etcd *embed.Etcd
	log  *slog.Logger
	// delay is the pause after the last attempt, which ends at next. Both are zero after a success.
	delay time.Duration
	next  time.Time
}

func (r *etcdSpaceReclaimer) reclaimIfNeeded(ctx context.Context) {
	alarms := spaceAlarms(r.etcd.Server.Alarms())
	if len(alarms) == 0 || time.Now().Before(r.next) {
		return
	}
	err := r.reclaimSpace(ctx, alarms)
	r.delay = nextReclaimDelay(r.delay, err)
	r.next = time.Now().Add(r.delay)
	if err != nil {
		r.log.Error("etcd refuses writes, and no space could be reclaimed", "error", err, "retry_in", r.delay)
	}
}

// spaceAlarms returns the alarms that free space resolves. It leaves out the alarm of a corrupt database, which a
// person has to handle.
func spaceAlarms(all []*pb.AlarmMember) []*pb.AlarmMember {
	var found []*pb.AlarmMember
	for _, a := range all {
		if a.Alarm == pb.AlarmType_NOSPACE {
			found = append(found, a)
		}
	}
	return found
}

// nextReclaimDelay is the pause after an attempt that returned err, given the pause before the attempt.
func nextReclaimDelay(before time.Duration, err error) time.Duration {
	if err == nil {
		return 0
	}
	return min(max(2*before, reclaimRetryDelay), reclaimRetryMaxDelay)
}

// reclaimSpace compacts etcd's history and defragments its database. If that was enough, it clears the alarm, which
// etcd otherwise keeps, and etcd accepts writes again.
func (r *etcdSpaceReclaimer) reclaimSpace(ctx context.Context, alarms []*pb.AlarmMember) error {
	ctx, cancel := context.WithTimeout(ctx, reclaimTimeout)
	defer cancel()
	server := r.etcd.Server
	if _, err := server.Compact(ctx, &pb.CompactionRequest{Revision: server.KV().Rev(), Physical: true}); err != nil {
		r.log.Info("etcd's history was not compacted", "error", err) // it may be compacted already
	}
	if err := server.Backend().Defrag(); err != nil {
		return fmt.Errorf("defragmenting etcd's database: %w", err)
	}
	if size := server.Backend().Size(); size >= etcdQuota {
		return fmt.Errorf("etcd's database has %d MiB, and its limit is %d MiB", size>>20, etcdQuota>>20)
	}
	for _, alarm := range alarms {
		off := &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, MemberID: alarm.MemberID, Alarm: alarm.Alarm}
		if _, err := server.Alarm(ctx, off); err != nil {
			return fmt.Errorf("clearing etcd's alarm: %w", err)
		}
		r.log.Warn("etcd's database had reached its limit: its history was compacted, and it accepts writes again")
	}
	return nil
}
