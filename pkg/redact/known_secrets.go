package redact

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync"
)

const (
	// MinLength is the minimum length of a secret that is found by its value: a shorter one occurs in too many harmless
	// words.
	MinLength = 8
	// windowLength is how much of a long secret must be in a text to find it, plus up to windowStride: a log may have
	// cut off the rest.
	windowLength = 16
	windowStride = 8
)

// KnownSecrets finds secrets by their values. It keeps hashes of parts of them, not the secrets. It is safe for
// concurrent use.
type KnownSecrets struct {
	seed maphash.Seed

	mu sync.RWMutex
	// learned are the hashes of each owner's secrets.
	learned map[string]map[uint64]secretMarks
	// windows are the windows of all long secrets. short are the short secrets, by the hash of their first bytes.
	windows map[uint64]windowMark
	short   map[uint64][]shortSecret
}

// windowMark is a window of one or more secrets: how many bytes of a secret may precede and follow it.
type windowMark struct {
	before, after int
	count         int
}

// shortSecret identifies a secret that is too short for windows.
type shortSecret struct {
	length int
	hash   uint64
	count  int
}

// secretMarks are the marks by which a secret is found.
type secretMarks struct {
	windows []uint64
	short   []shortSecretMark
}

type shortSecretMark struct {
	anchor uint64
	piece  shortSecret
}

// NewKnownSecrets returns an empty set.
func NewKnownSecrets() *KnownSecrets {
	return &KnownSecrets{
		seed: maphash.MakeSeed(), learned: map[string]map[uint64]secretMarks{}, windows: map[uint64]windowMark{},
		short: map[uint64][]shortSecret{},
	}
}

func (v *KnownSecrets) hashBytes(b []byte) uint64 { return maphash.Bytes(v.seed, b) }

// LearnSecret adds a secret of an owner.
func (v *KnownSecrets) LearnSecret(owner string, secret []byte) {
	if len(secret) < MinLength {
		return
	}
	id := v.hashBytes(secret)
	v.mu.RLock()
	_, had := v.learned[owner][id]
	v.mu.RUnlock()
	if had {
		return
	}
	forms := secretFormsOf(secret)
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, had := v.learned[owner][id]; had {
		return
	}
	if v.learned[owner] == nil {
		v.learned[owner] = map[uint64]secretMarks{}
	}
	m := secretMarks{}
	for _, f := range forms {
		if len(f.bytes) < windowLength+windowStride {
			m.short = append(m.short, v.addShortSecret(f.bytes))
			continue
		}
		m.windows = append(m.windows, v.addWindows(f)...)
	}
	v.learned[owner][id] = m
}

func (v *KnownSecrets) addShortSecret(b []byte) shortSecretMark {
	s := shortSecretMark{anchor: v.hashBytes(b[:MinLength]),
		piece: shortSecret{length: len(b), hash: v.hashBytes(b), count: 1}}
	same := func(p shortSecret) bool { return p.length == s.piece.length && p.hash == s.piece.hash }
	if i := slices.IndexFunc(v.short[s.anchor], same); i >= 0 {
		v.short[s.anchor][i].count++
	} else {
		v.short[s.anchor] = append(v.short[s.anchor], s.piece)
	}
	return s
}

func (v *KnownSecrets) addWindows(f secretForm) []uint64 {
	var added []uint64
	last := len(f.bytes) - windowLength
	for i := 0; ; i = min(i+windowStride, last) {
		h := v.hashBytes(f.bytes[i : i+windowLength])
		m := v.windows[h]
		v.windows[h] = windowMark{max(m.before, i+f.before), max(m.after, last-i+f.after), m.count + 1}
		added = append(added, h)
		if i == last {
			return added
		}
	}
}

// ForgetOwner removes the secrets that only this owner has.
func (v *KnownSecrets) ForgetOwner(owner string) {
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
			v.removeShortSecret(s)
		}
	}
	delete(v.learned, owner)
}

func (v *KnownSecrets) removeShortSecret(s shortSecretMark) {
	kept := v.short[s.anchor]
	for i := range kept {
		if kept[i].length == s.piece.length && kept[i].hash == s.piece.hash {
			kept[i].count--
		}
	}
	kept = slices.DeleteFunc(kept, func(p shortSecret) bool { return p.count == 0 })
	if v.short[s.anchor] = kept; len(kept) == 0 {
		delete(v.short, s.anchor)
	}
}

// HideSecrets replaces the known secrets in a text, whether plain, in base64, escaped, broken into lines, or cut off.
func (v *KnownSecrets) HideSecrets(s string) string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if len(v.windows)+len(v.short) == 0 || len(s) < MinLength {
		return s
	}
	spans := v.findSecrets(foldText(s))
	if strings.ContainsAny(s, `\%`) {
		spans = append(spans, v.findSecrets(foldEscapedText(s))...)
	}
	return replaceSpans(s, spans)
}

// textSpan is a part of a text.
type textSpan struct{ from, to int }

// findSecrets returns where the secrets are in the text before folding.
func (v *KnownSecrets) findSecrets(f foldedText) []textSpan {
	var found []textSpan
	for i := 0; i+MinLength <= len(f.bytes); i++ {
		if i+windowLength <= len(f.bytes) {
			if m, is := v.windows[v.hashBytes(f.bytes[i:i+windowLength])]; is {
				found = append(found, f.extendWindow(i, i+windowLength, m))
			}
		}
		if len(v.short) == 0 {
			continue
		}
		for _, p := range v.short[v.hashBytes(f.bytes[i:i+MinLength])] {
			if end := i + p.length; end <= len(f.bytes) && v.hashBytes(f.bytes[i:end]) == p.hash {
				found = append(found, textSpan{f.from[i], f.to[end-1]})
			}
		}
	}
	return found
}

// extendWindow returns the position of a window in the text, with the adjacent characters that may belong to the same
// secret: if the secret was cut off, only a part of it matches.
func (f foldedText) extendWindow(from, to int, m windowMark) textSpan {
	for least := max(0, from-m.before); from > least && f.to[from-1] == f.from[from] && isKeyByte(f.bytes[from-1]); {
		from--
	}
	for most := min(len(f.bytes), to+m.after); to < most && f.to[to-1] == f.from[to] &&
		(isKeyByte(f.bytes[to]) || f.bytes[to] == '='); {
		to++
	}
	return textSpan{f.from[from], f.to[to-1]}
}

// isKeyByte reports whether a byte of a folded text can be part of a key, a token or base64.
func isKeyByte(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b == '+' || b == '/'
}

// replaceSpans replaces parts of a text with Hidden. Adjacent parts become one Hidden.
func replaceSpans(s string, spans []textSpan) string {
	if len(spans) == 0 {
		return s
	}
	slices.SortFunc(spans, func(a, b textSpan) int { return a.from - b.from })
	var b strings.Builder
	at := 0
	for i := 0; i < len(spans); {
		from, to := spans[i].from, spans[i].to
		for i++; i < len(spans) && isFoldedBetween(s, to, spans[i].from); i++ {
			to = max(to, spans[i].to)
		}
		b.WriteString(s[at:from] + Hidden)
		at = to
	}
	return b.String() + s[at:]
}

// isFoldedBetween reports whether only folded characters are between two positions of a text.
func isFoldedBetween(s string, from, to int) bool {
	return to <= from || len(foldText(s[from:to]).bytes) == 0
}
