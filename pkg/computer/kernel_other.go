//go:build !linux

package computer

import "time"

// findNetworkFileSystemOf is only known on Linux: skyd runs on no other system.
func findNetworkFileSystemOf(string) string { return "" }

func (Options) readClock() Clock { return Clock{Now: time.Now()} }
