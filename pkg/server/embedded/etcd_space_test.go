package embedded

import (
	"errors"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/sky-shift/skyctl/pkg/await"
)

func TestEtcdAcceptsWritesAfterASpaceAlarm(t *testing.T) {
	c := testConfig(t, t.TempDir())
	s := startStack(t, c)
	ctx := contextWithin(t, time.Minute)
	raise := &pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, MemberID: uint64(s.etcd.Server.MemberID()),
		Alarm: pb.AlarmType_NOSPACE}
	if _, err := s.etcd.Server.Alarm(ctx, raise); err != nil {
		t.Fatal(err)
	}
	e := etcdClient(t, c, clientTLS(t, c.Etcd.TLS))
	if err := await.Success(ctx, pollInterval,
		func() error { _, err := e.Put(ctx, "k", "v"); return err }); err != nil {
		t.Errorf("the alarm was not cleared: %v", err)
	}
	if left := s.etcd.Server.Alarms(); len(left) > 0 {
		t.Errorf("alarms are left: %v", left)
	}
}

func TestFailedSpaceReclaimsBackOff(t *testing.T) {
	var pause time.Duration
	for i, want := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute} {
		if pause = nextReclaimDelay(pause, errors.New("still too large")); pause != want {
			t.Errorf("after attempt %d: %v, want %v", i+1, pause, want)
		}
	}
	if last := nextReclaimDelay(20*time.Minute, errors.New("still too large")); last != reclaimRetryMaxDelay {
		t.Errorf("at most %v, want %v", last, reclaimRetryMaxDelay)
	}
	if after := nextReclaimDelay(pause, nil); after != 0 {
		t.Errorf("%v after a success, want none", after)
	}
}

func TestOnlySpaceAlarmsAreCleared(t *testing.T) {
	space := &pb.AlarmMember{MemberID: 1, Alarm: pb.AlarmType_NOSPACE}
	corrupt := &pb.AlarmMember{MemberID: 1, Alarm: pb.AlarmType_CORRUPT}
	if got := spaceAlarms([]*pb.AlarmMember{corrupt, space}); len(got) != 1 || got[0] != space {
		t.Errorf("got %v", got)
	}
	if got := spaceAlarms([]*pb.AlarmMember{corrupt}); len(got) > 0 {
		t.Errorf("a corrupt database is rewritten for %v", got)
	}
}
