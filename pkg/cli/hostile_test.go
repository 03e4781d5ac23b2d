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
	"github.com/sky-shift/skyctl/pkg/operations"
	"github.com/sky-shift/skyctl/pkg/printable"
)

// evil is what somebody may have put into a name, a label or a message.
const evil = "a\x1b[2J\x1b]0;t\x07b\u202ec\u200bd\u2028e\u009b31mf\ng\rh\x9bi"

// poison puts evil into every string of an object.
func poison(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if v.CanSet() {
			v.SetString(evil)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		poison(v.Elem())
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				poison(v.Field(i))
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			poison(v.Index(i))
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		poison(key)
		poison(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	}
}

func poisoned[T any]() T {
	var object T
	poison(reflect.ValueOf(&object).Elem())
	return object
}

// harmless fails where a text has anything in it that would steer or deceive a terminal.
func harmless(t *testing.T, what, text string) {
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
	c, now := poisoned[api.Cluster](), time.Now()
	failure := &operations.FailedError{Failure: c.Status.Failure}
	for what, print := range map[string]func(w io.Writer){
		"get clusters": func(w io.Writer) { io.WriteString(w, clusterTable([]api.Cluster{c}, true, now).String()) },
		"describe": func(w io.Writer) {
			io.WriteString(w, description{cluster: &c, operation: evil, kubeconfig: evil, events: poisoned[[]api.Event](), now: now}.String())
		},
		"get events":    func(w io.Writer) { io.WriteString(w, eventTable(poisoned[[]api.Event](), now).String()) },
		"get orphans":   func(w io.Writer) { io.WriteString(w, orphanTable(poisoned[[]api.Orphan](), false, now).String()) },
		"a dry run":     func(w io.Writer) { io.WriteString(w, placementTable(poisoned[[]api.Placement](), 3).String()) },
		"as JSON":       func(w io.Writer) { must(encode(w, asJSON, c)) },
		"as YAML":       func(w io.Writer) { must(encode(w, asYAML, c)) },
		"what changed":  func(w io.Writer) { io.WriteString(w, strings.Join(changeLines(nil, &c), "\n")) },
		"a failure":     func(w io.Writer) { writeFailure(w, failure) },
		"an error":      func(w io.Writer) { tell(w, errors.Join(errors.New(evil), errors.New(evil))) },
		"next commands": func(w io.Writer) { io.WriteString(w, again(&c)) },
	} {
		var b bytes.Buffer
		print(&cleanWriter{to: &b})
		harmless(t, what, b.String())
	}
}

func TestWhatIsDrawnOnATerminalIsOnlyOurOwnDrawing(t *testing.T) {
	c := poisoned[api.Cluster]()
	for _, m := range []api.MachineState{api.MachineUp} {
		for i := range c.Status.Machines {
			c.Status.Machines[i].State = m
		}
	}
	var b bytes.Buffer
	p := &progress{w: &b, tty: true, title: clean(evil), now: time.Now, began: time.Now()}
	p.seen = operations.Progress{Cluster: &c, Notice: evil}
	p.draw()
	p.draw()
	harmless(t, "progress", regexp.MustCompile("\x1b\\[(K|J|[0-9]+A\r)").ReplaceAllString(b.String(), ""))
	b.Reset()
	(&status{w: &b, title: clean(evil)}).fail(errors.New(evil))
	harmless(t, "a failed status", b.String())
}

func TestAWriterPassesOnCharactersThatComeInParts(t *testing.T) {
	var b bytes.Buffer
	w := &cleanWriter{to: &b}
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
	if err := encode(&cleanWriter{to: &b}, asJSON, in); err != nil {
		t.Fatal(err)
	}
	var out map[string]string
	if err := json.Unmarshal(b.Bytes(), &out); err != nil || !reflect.DeepEqual(in, out) {
		t.Errorf("got %q, %v", out, err)
	}
}
