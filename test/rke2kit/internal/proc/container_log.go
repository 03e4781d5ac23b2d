package proc

import (
	"bytes"
	"io"
	"time"
)

// containerLogTime is the time of a line in a container's log: RFC 3339 with all nine digits.
const containerLogTime = "2006-01-02T15:04:05.000000000Z07:00"

// containerLog writes whole lines as a container runtime does: the time, the stream, F for a full line, the line. An
// unfinished last line is lost.
type containerLog struct {
	out     io.Writer
	partial []byte
}

// Write never fails: a full disk must not end a component.
func (l *containerLog) Write(p []byte) (int, error) {
	l.partial = append(l.partial, p...)
	for {
		line, rest, found := bytes.Cut(l.partial, []byte("\n"))
		if !found {
			return len(p), nil
		}
		entry := time.Now().AppendFormat(nil, containerLogTime)
		entry = append(entry, " stderr F "...)
		entry = append(append(entry, line...), '\n')
		_, _ = l.out.Write(entry)
		l.partial = append(l.partial[:0], rest...)
	}
}
