package redact

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync"
)

const (
	// MinLength is the least length of a secret that is known by its value: a shorter one is in too many harmless words.
	MinLength = 8
	// window is how much of a long secret has to be in a text for it to be found there, give or take stride: a log may have cut
	// the rest.
	window = 16
	stride = 8
)

// Values are secrets that are known by their values. It keeps no secret itself, only hashes of parts of them. It may be used by
// many at once.
type Values struct {
	seed maphash.Seed

	mu sync.RWMutex
	// learned are the hashes of the secrets that each owner has.
	learned map[string]map[uint64]marks
	// windows are those of all long secrets, short the short ones by the hash of their first bytes.
	windows map[uint64]mark
	short   map[uint64][]piece
}

// mark is a window of one or more secrets: how much of one may stand before it, and after it.
type mark struct {
	before, after int
	count         int
}

// piece is a short secret.
type piece struct {
	length int
	hash   uint64
	count  int
}

// marks are what a secret is found by.
type marks struct {
	windows []uint64
	short   []shortMark
}

type shortMark struct {
	anchor uint64
	piece  piece
}

// NewValues knows nothing yet.
func NewValues() *Values {
	return &Values{
		seed: maphash.MakeSeed(), learned: map[string]map[uint64]marks{}, windows: map[uint64]mark{}, short: map[uint64][]piece{},
	}
}

func (v *Values) hash(b []byte) uint64 { return maphash.Bytes(v.seed, b) }

// Learn adds a secret of an owner.
func (v *Values) Learn(owner string, secret []byte) {
	if len(secret) < MinLength {
		return
	}
	id := v.hash(secret)
	v.mu.RLock()
	_, had := v.learned[owner][id]
	v.mu.RUnlock()
	if had {
		return
	}
	forms := formsOf(secret)
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, had := v.learned[owner][id]; had {
		return
	}
	if v.learned[owner] == nil {
		v.learned[owner] = map[uint64]marks{}
	}
	m := marks{}
	for _, f := range forms {
		if len(f.bytes) < window+stride {
			m.short = append(m.short, v.addShort(f.bytes))
			continue
		}
		m.windows = append(m.windows, v.addWindows(f)...)
	}
	v.learned[owner][id] = m
}

func (v *Values) addShort(b []byte) shortMark {
	s := shortMark{anchor: v.hash(b[:MinLength]), piece: piece{length: len(b), hash: v.hash(b), count: 1}}
	same := func(p piece) bool { return p.length == s.piece.length && p.hash == s.piece.hash }
	if i := slices.IndexFunc(v.short[s.anchor], same); i >= 0 {
		v.short[s.anchor][i].count++
	} else {
		v.short[s.anchor] = append(v.short[s.anchor], s.piece)
	}
	return s
}

func (v *Values) addWindows(f form) []uint64 {
	var added []uint64
	last := len(f.bytes) - window
	for i := 0; ; i = min(i+stride, last) {
		h := v.hash(f.bytes[i : i+window])
		m := v.windows[h]
		v.windows[h] = mark{max(m.before, i+f.before), max(m.after, last-i+f.after), m.count + 1}
		added = append(added, h)
		if i == last {
			return added
		}
	}
}

// Forget takes away the secrets that only this owner has.
func (v *Values) Forget(owner string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, m := range v.learned[owner] {
		for _, h := range m.windows {
			if w := v.windows[h]; w.count > 1 {
				w.count--
				v.windows[h] = w
			} else {
				delete(v.windows, h)
			}
		}
		for _, s := range m.short {
			v.dropShort(s)
		}
	}
	delete(v.learned, owner)
}

func (v *Values) dropShort(s shortMark) {
	kept := v.short[s.anchor]
	for i := range kept {
		if kept[i].length == s.piece.length && kept[i].hash == s.piece.hash {
			kept[i].count--
		}
	}
	kept = slices.DeleteFunc(kept, func(p piece) bool { return p.count == 0 })
	if v.short[s.anchor] = kept; len(kept) == 0 {
		delete(v.short, s.anchor)
	}
}

// Hide replaces the secrets that are known in a text: as they are, in base64, escaped, broken into lines, or cut.
func (v *Values) Hide(s string) string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if len(v.windows)+len(v.short) == 0 || len(s) < MinLength {
		return s
	}
	spans := v.find(fold(s))
	if strings.ContainsAny(s, `\%`) {
		spans = append(spans, v.find(foldEscaped(s))...)
	}
	return replace(s, spans)
}

// span is a part of a text.
type span struct{ from, to int }

// find returns where secrets are in the text that was folded.
func (v *Values) find(f folded) []span {
	var found []span
	for i := 0; i+MinLength <= len(f.bytes); i++ {
		if i+window <= len(f.bytes) {
			if m, is := v.windows[v.hash(f.bytes[i:i+window])]; is {
				found = append(found, f.extend(i, i+window, m))
			}
		}
		if len(v.short) == 0 {
			continue
		}
		for _, p := range v.short[v.hash(f.bytes[i:i+MinLength])] {
			if end := i + p.length; end <= len(f.bytes) && v.hash(f.bytes[i:end]) == p.hash {
				found = append(found, span{f.from[i], f.to[end-1]})
			}
		}
	}
	return found
}

// extend is where a window is in the text, with the letters around it that may be of the same secret: of one that was cut, only a
// part of it can be known.
func (f folded) extend(from, to int, m mark) span {
	for least := max(0, from-m.before); from > least && f.to[from-1] == f.from[from] && inKey(f.bytes[from-1]); {
		from--
	}
	for most := min(len(f.bytes), to+m.after); to < most && f.to[to-1] == f.from[to] && (inKey(f.bytes[to]) || f.bytes[to] == '='); {
		to++
	}
	return span{f.from[from], f.to[to-1]}
}

// inKey says that a byte of a folded text may be one of a key, a token or base64.
func inKey(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b == '+' || b == '/'
}

// replace puts Hidden in the place of parts of a text, once for those that touch.
func replace(s string, spans []span) string {
	if len(spans) == 0 {
		return s
	}
	slices.SortFunc(spans, func(a, b span) int { return a.from - b.from })
	var b strings.Builder
	at := 0
	for i := 0; i < len(spans); {
		from, to := spans[i].from, spans[i].to
		for i++; i < len(spans) && blank(s, to, spans[i].from); i++ {
			to = max(to, spans[i].to)
		}
		b.WriteString(s[at:from] + Hidden)
		at = to
	}
	return b.String() + s[at:]
}

// blank says that nothing is between two places of a text but what is folded.
func blank(s string, from, to int) bool {
	return to <= from || len(fold(s[from:to]).bytes) == 0
}
