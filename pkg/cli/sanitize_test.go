package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/printable"
)

// evil is what somebody may have put into a name, a label or a message.
const evil = "a\x1b[2J\x1b]0;t\x07b\u202ec\u200bd\u2028e\u009b31mf\ng\rh\x9bi"

// poisonStrings puts evil into every string of an object.
func poisonStrings(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if v.CanSet() {
			v.SetString(evil)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		poisonStrings(v.Elem())
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				poisonStrings(v.Field(i))
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			poisonStrings(v.Index(i))
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		poisonStrings(key)
		poisonStrings(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	}
}

func newPoisoned[T any]() T {
	var object T
	poisonStrings(reflect.ValueOf(&object).Elem())
	return object
}

// checkHarmless fails where a text has anything in it that would steer or deceive a terminal.
func checkHarmless(t *testing.T, what, text string) {
	t.Helper()
	if !utf8.ValidString(text) || !strings.Contains(text, `\u202e`) {
		t.Errorf("%s: it does not show the name as it is: %q", what, text)
	}
	for _, r := range text {
		if r != '\n' && r != '\t' && r != utf8.RuneError && !printable.IsHarmless(r) {
			t.Errorf("%s prints %U: %.300q", what, r, text)
			return
		}
	}
}

func TestNothingInAnObjectSteersTheTerminal(t *testing.T) {
	c, now := newPoisoned[api.Cluster](), time.Now()
	failure := &client.OperationFailedError{Failure: c.Status.Failure}
	for what, print := range map[string]func(w io.Writer){
		"get clusters": func(w io.Writer) { io.WriteString(w, newClusterTable([]api.Cluster{c}, true, now).String()) },
		"describe": func(w io.Writer) {
			io.WriteString(w, clusterDescription{cluster: &c, operation: evil, kubeconfig: evil,
				events: newPoisoned[[]api.Event](), now: now}.String())
		},
		"get events": func(w io.Writer) {
			io.WriteString(w, newEventTable(newPoisoned[[]api.Event](), now).String())
		},
		"get orphans": func(w io.Writer) {
			io.WriteString(w, newOrphanTable(newPoisoned[[]api.Orphan](), false, now).String())
		},
		"a dry run": func(w io.Writer) {
			io.WriteString(w, newPlacementTable(newPoisoned[[]api.Placement](), 3).String())
		},
		"as JSON":       func(w io.Writer) { panicOnError(writeStructured(w, asJSON, c)) },
		"as YAML":       func(w io.Writer) { panicOnError(writeStructured(w, asYAML, c)) },
		"what changed":  func(w io.Writer) { io.WriteString(w, strings.Join(changeLines(nil, &c), "\n")) },
		"a failure":     func(w io.Writer) { printFailureLog(w, failure) },
		"an error":      func(w io.Writer) { printError(w, errors.Join(errors.New(evil), errors.New(evil))) },
		"next commands": func(w io.Writer) { io.WriteString(w, createCommandLine(&c)) },
	} {
		var b bytes.Buffer
		print(&sanitizingWriter{to: &b})
		checkHarmless(t, what, b.String())
	}
}

func TestWhatIsDrawnOnATerminalIsOnlyOurOwnDrawing(t *testing.T) {
	c := newPoisoned[api.Cluster]()
	for _, m := range []api.MachineState{api.MachineUp} {
		for i := range c.Status.Machines {
			c.Status.Machines[i].State = m
		}
	}
	var b bytes.Buffer
	p := &progressDisplay{w: &b, tty: true, title: printable.Line(evil), now: time.Now, began: time.Now()}
	p.cluster, p.notice = &c, evil
	p.drawBlock()
	p.drawBlock()
	checkHarmless(t, "progress", regexp.MustCompile("\x1b\\[(K|J|[0-9]+A\r)").ReplaceAllString(b.String(), ""))
	b.Reset()
	(&spinner{w: &b, title: printable.Line(evil)}).reportFailure(errors.New(evil))
	checkHarmless(t, "a failed status", b.String())
}

func TestAWriterPassesOnCharactersThatComeInParts(t *testing.T) {
	var b bytes.Buffer
	w := &sanitizingWriter{to: &b}
	for _, part := range strings.Split("✔ 東\u202e\tx\n", "") {
		for i := range len(part) {
			if n, err := w.Write([]byte{part[i]}); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
	}
	if b.String() != "✔ 東\\u202e\tx\n" {
		t.Errorf("got %q", b.String())
	}
}

func TestJSONOfAHostileObjectIsTheSameObject(t *testing.T) {
	in := map[string]string{"name": "a\u202eb\u200bc\u2028d", "more": "tab\tand\nbreak"}
	var b bytes.Buffer
	if err := writeStructured(&sanitizingWriter{to: &b}, asJSON, in); err != nil {
		t.Fatal(err)
	}
	var out map[string]string
	if err := json.Unmarshal(b.Bytes(), &out); err != nil || !reflect.DeepEqual(in, out) {
		t.Errorf("got %q, %v", out, err)
	}
}
