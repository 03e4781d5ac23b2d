package bridge

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"syscall"

	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/logtext"
)

// process is one run of the program.
type process struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	stderr  *logtext.Tail
	users   int // callers that acquired it; guarded by the bridge's lock
	writing sync.Mutex

	mu        sync.Mutex
	questions int
	waiting   map[int]chan []byte // the callers, by the id of their question
	ended     bool                // no more answers come
}

// exchangeMessage sends a question and waits for its answer.
func (p *process) exchangeMessage(ctx context.Context, question []byte) ([]byte, error) {
	id, answer, err := p.registerQuestion()
	if err != nil {
		return nil, err
	}
	defer p.forgetQuestion(id)
	failed := make(chan error, 1)
	go func() { // a process that hangs reads nothing
		p.writing.Lock()
		defer p.writing.Unlock()
		if _, err := fmt.Fprintf(p.in, `{"id": %d, "question": %s}`+"\n", id, question); err != nil {
			failed <- err
		}
	}()
	select {
	case data, ok := <-answer:
		if !ok {
			return nil, io.ErrUnexpectedEOF
		}
		return data, nil
	case err := <-failed:
		return nil, err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (p *process) registerQuestion() (int, <-chan []byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return 0, nil, io.ErrUnexpectedEOF
	}
	p.questions++
	answer := make(chan []byte, 1)
	p.waiting[p.questions] = answer
	return p.questions, answer, nil
}

func (p *process) forgetQuestion(id int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, id)
}

// deliverAnswers passes answers to the callers that wait for them, until the process exits.
func (p *process) deliverAnswers(out io.Reader) {
	lines := bufio.NewReaderSize(out, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		var header struct {
			ID int `json:"id"`
		}
		if json.Unmarshal(line, &header) != nil {
			break // the rest of its output cannot be matched to questions either
		}
		p.mu.Lock()
		if answer := p.waiting[header.ID]; answer != nil { // nil: the caller gave up
			answer <- line
			delete(p.waiting, header.ID)
		}
		p.mu.Unlock()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	for _, answer := range p.waiting {
		close(answer)
	}
	clear(p.waiting)
}

func (p *process) hasEnded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// kill ends the process. Its exit status means nothing.
func (p *process) kill() {
	_ = p.in.Close()
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	_ = p.cmd.Wait()
}
