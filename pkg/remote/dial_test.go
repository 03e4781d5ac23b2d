package remote_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/test/sshserver"
	"golang.org/x/crypto/ssh"
)

func TestKeyPairHalvesMatch(t *testing.T) {
	private, public, err := remote.NewKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := remote.PublicKeyOf(private); err != nil || got != public ||
		!strings.HasPrefix(public, "ssh-ed25519 ") {
		t.Errorf("got %s, %v for %s", got, err, public)
	}
	if _, err := remote.PublicKeyOf([]byte(public)); err == nil {
		t.Error("a public key was accepted as a private one")
	}
}

func TestFirstContactPinsTheHostKey(t *testing.T) {
	s := sshserver.Start(t)
	target := s.Target
	target.HostKey = ""
	h, err := remote.Dial(t.Context(), target, s.Key)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if h.HostKey() != s.Target.HostKey {
		t.Errorf("got %s, want %s", h.HostKey(), s.Target.HostKey)
	}
}

func TestHostKeyMismatchIsFinal(t *testing.T) {
	s := sshserver.Start(t)
	_, ofSameKind, err := remote.NewKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]string{"of the same kind": ofSameKind, "of another kind": ecdsaKey(t)} {
		target := s.Target
		target.HostKey = key
		_, err := remote.AwaitDial(t.Context(), target, s.Key, nil)
		var mismatch *remote.HostKeyMismatch
		if !errors.As(err, &mismatch) || !remote.IsFinal(err) || remote.IsLost(err) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if n := s.Logins.Load(); n != 2 {
		t.Errorf("%d attempts for two calls", n)
	}
}

func ecdsaKey(t *testing.T) string {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := ssh.NewPublicKey(&k.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(ssh.MarshalAuthorizedKey(pub))
}

func TestRejectedKeyIsFinal(t *testing.T) {
	s := sshserver.Start(t)
	other, _, err := remote.NewKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	_, err = remote.AwaitDial(t.Context(), s.Target, other, nil)
	var refused *remote.AuthFailed
	if !errors.As(err, &refused) || !remote.IsFinal(err) || refused.User != "root" {
		t.Fatalf("got %v", err)
	}
	if n := s.Logins.Load(); n != 1 {
		t.Errorf("%d attempts", n)
	}
}

func TestAwaitDialWaitsForABootingMachine(t *testing.T) {
	s := sshserver.Start(t)
	s.Stop()
	reports := make(chan string, 10)
	result := make(chan error, 1)
	go func() {
		h, err := remote.AwaitDial(t.Context(), s.Target, s.Key, func(m string) { reports <- m })
		if err == nil {
			h.Close()
		}
		result <- err
	}()
	if m := <-reports; !strings.Contains(m, "waiting for SSH at 127.0.0.1:") {
		t.Errorf("reported %q", m)
	}
	s.HangUpAtLogin.Store(true)
	s.Listen(t)
	if m := <-reports; !strings.Contains(m, "finish booting") {
		t.Errorf("reported %q", m)
	}
	s.HangUpAtLogin.Store(false)
	if err := <-result; err != nil {
		t.Error(err)
	}
}

func TestDeadlineErrorIncludesTheLastAttempt(t *testing.T) {
	s := sshserver.Start(t)
	s.Stop()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	afterAnAttempt := func(string) { cancel(context.DeadlineExceeded) }
	_, err := remote.AwaitDial(ctx, s.Target, s.Key, afterAnAttempt)
	if !remote.IsLost(err) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "refused") ||
		!strings.Contains(err.Error(), "sky-test-0") {
		t.Errorf("got %v", err)
	}
}

func TestCancelledDialReturnsAtOnce(t *testing.T) {
	s := sshserver.Start(t)
	defer s.Freeze()()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if _, err := remote.Dial(ctx, s.Target, s.Key); !remote.IsLost(err) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("took %s", d)
	}
}

func TestPausesBetweenAttemptsGrow(t *testing.T) {
	for _, tt := range []struct {
		waited   time.Duration
		answered int
		want     time.Duration
	}{
		{0, 0, 200 * time.Millisecond},
		{5 * time.Second, 0, 200 * time.Millisecond},
		{30 * time.Second, 0, time.Second},
		{time.Hour, 0, 2 * time.Second},
		{time.Second, 1, 200 * time.Millisecond},
		{time.Second, 4, 200 * time.Millisecond * 64 / 27},
		{time.Hour, 1000, 5 * time.Second},
	} {
		if got := remote.PauseBeforeRetry(tt.waited,
			tt.answered); got.Round(time.Millisecond) != tt.want.Round(time.Millisecond) {
			t.Errorf("after %s and %d answers: got %s, want %s", tt.waited, tt.answered, got, tt.want)
		}
	}
}
