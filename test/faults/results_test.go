package faults

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// results are the outcomes of all faults.
var results book

// book counts outcomes by fault.
type book struct {
	mu   sync.Mutex
	rows map[key]*outcome
}

// key is a row of the table.
type key struct{ kind, fault, ends string }

type outcome struct {
	tried, held int
	longest     time.Duration
}

// note counts a fault's outcome when its test ends.
func (b *book) note(t *testing.T, k key) {
	t.Helper()
	begin := time.Now()
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.rows == nil {
			b.rows = map[key]*outcome{}
		}
		o := b.rows[k]
		if o == nil {
			o = &outcome{}
			b.rows[k] = o
		}
		o.tried++
		if !t.Failed() {
			o.held++
		}
		o.longest = max(o.longest, time.Since(begin))
	})
}

// String renders the table as Markdown.
func (b *book) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var keys []key
	for k := range b.rows {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(x, y key) int {
		return strings.Compare(x.kind+"\x00"+x.fault, y.kind+"\x00"+y.fault)
	})
	var s strings.Builder
	tried, held := 0, 0
	s.WriteString(heading)
	for _, k := range keys {
		o := b.rows[k]
		fmt.Fprintf(&s, "| %s | %s | %s | %d | %d | %.0f s |\n", k.kind, k.fault, k.ends, o.tried, o.held,
			o.longest.Seconds())
		tried, held = tried+o.tried, held+o.held
	}
	fmt.Fprintf(&s, "| **all** | %d faults | | %d | %d | |\n", len(keys), tried, held)
	return s.String()
}

const (
	heading = "| kind | fault | ends | tried | held | longest |\n|---|---|---|---|---|---|\n"
	opening = "<!-- results: written by make faults -->\n"
	closing = "<!-- end of results -->\n"
)

// addTo adds the counts to those in a page's table.
func (b *book) addTo(page string) error {
	raw, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(raw), opening)
	table, after, closed := strings.Cut(rest, closing)
	if !ok || !closed {
		return fmt.Errorf("%s has no place for results", page)
	}
	b.add(table)
	return os.WriteFile(page, []byte(before+opening+b.String()+closing+after),
		0o644) //nolint:gosec // a page for everybody
}

// add adds the counts of a table.
func (b *book) add(table string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 6 {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		var tried, held int
		var longest float64
		if n, _ := fmt.Sscanf(strings.Join(cells[3:], " "), "%d %d %f", &tried, &held, &longest); n != 3 {
			continue
		}
		o := b.rows[key{cells[0], cells[1], cells[2]}]
		if o == nil {
			o = &outcome{}
			b.rows[key{cells[0], cells[1], cells[2]}] = o
		}
		o.tried, o.held = o.tried+tried, o.held+held
		o.longest = max(o.longest, time.Duration(longest*float64(time.Second)))
	}
}
