package vault

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newIdentity(t testing.TB) string {
	t.Helper()
	identity, err := NewIdentity()
	must(t, err)
	return identity
}

// makeContent returns bytes that do not repeat.
func makeContent(n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(data)
	return data
}

// readAll reads a file of a vault to its end.
func readAll(ctx context.Context, v Vault, name string) ([]byte, error) {
	r, err := v.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Close())
}

// requireKind fails unless an error has a kind, which says whether a retry is of use.
func requireKind(t *testing.T, err error, kind string) {
	t.Helper()
	var got *Error
	if !errors.As(err, &got) || got.Reason() != kind || got.Final() == (kind == Unavailable) {
		t.Errorf("the error is %v (%+v), want the kind %s", err, got, kind)
	}
}

// requireFiles fails unless a vault has just these files.
func requireFiles(t *testing.T, v Vault, names ...string) {
	t.Helper()
	all, err := v.List(t.Context())
	must(t, err)
	var got []string
	for _, e := range all {
		got = append(got, e.Name)
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("the vault has %q, want %q", got, names)
	}
}

// testKeeping holds for every vault.
func testKeeping(t *testing.T, v Vault) {
	ctx := t.Context()
	requireFiles(t, v)
	for _, n := range []int{0, 1, sealChunk, 3*sealChunk + 5, 20 << 20} {
		content := makeContent(n)
		sealed, err := v.Put(ctx, "a1b2/manual.snap-1", WithSize(bytes.NewReader(content), int64(n)))
		must(t, err)
		got, err := readAll(ctx, v, "a1b2/manual.snap-1")
		must(t, err)
		if !bytes.Equal(got, content) {
			t.Fatalf("%d bytes came back as %d others", n, len(got))
		}
		all, err := v.List(ctx)
		must(t, err)
		if len(all) != 1 || all[0].Bytes != sealed || sealed > sealedSize(WithSize(nil, int64(n))) ||
			sealed <= int64(n) {
			t.Errorf("%d bytes: sealed %d, listed %+v, expected at most %d", n, sealed, all,
				sealedSize(WithSize(nil, int64(n))))
		}
	}
	_, err := v.Put(ctx, "b", strings.NewReader("second")) // its size is unknown
	must(t, err)
	requireFiles(t, v, "a1b2/manual.snap-1", "b")

	for range 2 {
		must(t, v.Delete(ctx, "a1b2/manual.snap-1"))
	}
	requireFiles(t, v, "b")
	must(t, v.Delete(ctx, "b"))
	requireFiles(t, v)
	_, err = v.Open(ctx, "a1b2/manual.snap-1")
	requireKind(t, err, NotFound)
	_, err = v.Open(ctx, "a1b2")
	requireKind(t, err, NotFound)
}

// testFailingReaders holds for every vault: what is kept stays, and nothing is added.
func testFailingReaders(t *testing.T, v Vault) {
	const large = 20 << 20
	_, err := v.Put(t.Context(), "kept", strings.NewReader("kept"))
	must(t, err)
	broken := errors.New("the machine went away")
	for name, c := range map[string]struct {
		r    io.Reader
		want error
	}{
		"fails":     {io.MultiReader(bytes.NewReader(makeContent(large)), errorReader{broken}), broken},
		"too short": {WithSize(bytes.NewReader(makeContent(large)), large+1), io.ErrUnexpectedEOF},
		"too long":  {WithSize(bytes.NewReader(makeContent(large)), large-1), nil},
	} {
		for _, file := range []string{"kept", "new/file"} {
			_, err := v.Put(t.Context(), file, c.r)
			if own := new(Error); err == nil || errors.As(err, &own) || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
			c.r = errorReader{broken} // the next time at once
			c.want = broken
		}
	}
	stopped := errors.New("skyd stops")
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err = v.Put(ctx, "new", io.MultiReader(bytes.NewReader(makeContent(large)),
		doThenEnd(func() { cancel(stopped) })))
	if !errors.Is(err, stopped) {
		t.Errorf("after its context ended: %v", err)
	}
	requireFiles(t, v, "kept")
	got, err := readAll(t.Context(), v, "kept")
	must(t, err)
	if string(got) != "kept" {
		t.Errorf("the older file has %q", got)
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

// doThenEnd is an empty byte, before which something happens, and then the end.
func doThenEnd(do func()) io.Reader {
	return io.MultiReader(readerFunc(func(p []byte) (int, error) {
		do()
		return copy(p, "x"), io.EOF
	}))
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestNamesCannotLeaveTheVault(t *testing.T) {
	d, err := NewDirectory(t.TempDir(), newIdentity(t), 1<<30)
	must(t, err)
	for _, name := range []string{"", ".", "..", "../x", "a/../x", "a/./x", "/etc/passwd", "a//b", "a/", ".hidden",
		"a/.lock", `a\b`, "a b", "ä", "a\nb", "a\x00", "-rf", strings.Repeat("a", maxNameBytes+1)} {
		_, err := d.Put(t.Context(), name, strings.NewReader(""))
		requireKind(t, err, InvalidName)
		_, err = d.Open(t.Context(), name)
		requireKind(t, err, InvalidName)
		requireKind(t, d.Delete(t.Context(), name), InvalidName)
	}
	requireFiles(t, d)
}

func TestAnInvalidIdentityIsNotQuoted(t *testing.T) {
	text := strings.ToLower(newIdentity(t)) + "x"
	if _, err := NewDirectory(t.TempDir(), text, 1); err == nil || strings.Contains(err.Error(), text[20:40]) {
		t.Errorf("the error is %v", err)
	}
}
