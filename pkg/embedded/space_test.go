package embedded

import (
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

func TestEtcdTakesWritesAgainThoughItsAlarmWasRaised(t *testing.T) {
	c := settings(t, t.TempDir())
	s := start(t, c)
	ctx := within(t, time.Minute)
	raise := &pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, MemberID: uint64(s.etcd.Server.MemberID()), Alarm: pb.AlarmType_NOSPACE}
	if _, err := s.etcd.Server.Alarm(ctx, raise); err != nil {
		t.Fatal(err)
	}
	e := etcdClient(t, c, clientTLS(t, c.Etcd.TLS))
	if err := poll(ctx, func() error { _, err := e.Put(ctx, "k", "v"); return err }); err != nil {
		t.Errorf("somebody has to take the alarm away: %v", err)
	}
	if left := s.etcd.Server.Alarms(); len(left) > 0 {
		t.Errorf("alarms are left: %v", left)
	}
}
