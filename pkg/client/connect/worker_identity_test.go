package connect

import "testing"

func TestWorkerIdentityIsReadAgain(t *testing.T) {
	w := WorkerProcess{Version: "v1.2.3-5-g0123456", PID: 7, Host: "a host"}
	if got, ok := ParseWorkerIdentity(FormatWorkerIdentity(w)); !ok || got != w {
		t.Errorf("%+v, %v", got, ok)
	}
	if got, ok := ParseWorkerIdentity("skyd 7 on there"); !ok || got != (WorkerProcess{PID: 7, Host: "there"}) {
		t.Errorf("an older worker: %+v, %v", got, ok)
	}
	if _, ok := ParseWorkerIdentity("12@host@"); ok {
		t.Error("another program counts as a worker")
	}
}
