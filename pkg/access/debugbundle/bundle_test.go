package debugbundle

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/test/tarfiles"
)

func newPart(name, text string, err error) Part {
	return Part{name, func(context.Context) ([]byte, error) { return []byte(text), err }}
}

func TestBundleHasNoSecretAndSaysWhatIsMissing(t *testing.T) {
	const secret = "correct-horse-battery-staple"
	redact.LearnSecret("bundle-test", []byte(secret))
	defer redact.ForgetOwner("bundle-test")
	var b bytes.Buffer
	missing, err := Write(t.Context(), &b, "dev", time.Now(), []Part{
		newPart("plain", "a "+secret+" b\n", nil),
		newPart("encoded", base64.StdEncoding.EncodeToString([]byte("xx"+secret)), nil),
		newPart("part", "half", errors.New("it broke: "+secret)),
		newPart("none", "", errors.New("no answer")),
		newPart("long", secret+strings.Repeat("\nline", maxPart/5)+secret, nil),
	})
	if err != nil || len(missing) != 3 {
		t.Fatalf("%v, missing %v", err, missing)
	}
	files := tarfiles.ReadCompressed(t, &b)
	for name, text := range files {
		if strings.Contains(text, "horse") || strings.Contains(text, "Y29ycmVjd") {
			t.Errorf("%s has the secret", name)
		}
		if len(text) > maxPart {
			t.Errorf("%s has %d bytes", name, len(text))
		}
	}
	if files["dev/plain"] != "a [hidden] b\n" || files["dev/part"] != "half" ||
		!strings.HasPrefix(files["dev/long"], "line\n") {
		t.Errorf("got %q, %q, %.20q", files["dev/plain"], files["dev/part"], files["dev/long"])
	}
	for _, want := range []string{"part: it broke: [hidden]\n", "none: no answer\n", "long: it has more than 2 MiB"} {
		if !strings.Contains(files["dev/REPORT.txt"], want) {
			t.Errorf("no %q in %q", want, files["dev/REPORT.txt"])
		}
	}
}

func TestInterruptedBundleIsAnError(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	tooLong := errors.New("it took too long")
	_, err := Write(ctx, io.Discard, "dev", time.Now(), []Part{{"slow", func(ctx context.Context) ([]byte, error) {
		cancel(tooLong)
		<-ctx.Done()
		return nil, ctx.Err()
	}}})
	if !errors.Is(err, tooLong) {
		t.Errorf("got %v", err)
	}
}
