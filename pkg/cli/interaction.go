package cli

import "github.com/sky-shift/skyctl/pkg/client"

// showProgress hands what the client tells of an operation to the display.
func showProgress(p *progressDisplay) func(client.Progress) {
	return func(n client.Progress) { p.showUpdate(n.Cluster, n.Notice) }
}
