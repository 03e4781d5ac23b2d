package hostimage

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
)

// debootstrapProgress reports from the output of debootstrap how many packages each of its steps has done. It passes
// the output on.
type debootstrapProgress struct {
	report func(string)
	said   io.Writer

	step  string
	count int
	rest  []byte // of a line that is incomplete
}

// debootstrapStep matches a line about one package, such as "I: Retrieving adduser 3.134".
var debootstrapStep = regexp.MustCompile(`^I: (Retrieving|Extracting|Unpacking|Configuring) ([a-z0-9][^ ]+)`)

// stepWords says for people what a step does; the others are part of the one before.
var stepWords = map[string]string{"Retrieving": "downloaded", "Extracting": "extracted", "Unpacking": "unpacked",
	"Configuring": "configured"}

// reportEvery is how many packages lead to one report.
const reportEvery = 10

// Write implements io.Writer. It never fails by itself.
func (p *debootstrapProgress) Write(data []byte) (int, error) {
	p.rest = append(p.rest, data...)
	for {
		line, rest, complete := bytes.Cut(p.rest, []byte("\n"))
		if !complete {
			break
		}
		p.readLine(string(line))
		p.rest = rest
	}
	return p.said.Write(data)
}

func (p *debootstrapProgress) readLine(line string) {
	found := debootstrapStep.FindStringSubmatch(line)
	if found == nil || found[2] == "the" { // "Unpacking the base system..."
		return
	}
	if found[1] != p.step {
		p.step, p.count = found[1], 0
	}
	if p.count++; p.count == 1 || p.count%reportEvery == 0 {
		p.report(fmt.Sprintf("installing the host image's packages: %d %s", p.count, stepWords[p.step]))
	}
}
