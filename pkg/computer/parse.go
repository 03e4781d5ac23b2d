package computer

import (
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"
)

// findField returns the words after a name at the beginning of a line.
func findField(text, name string) []string {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name); ok {
			return strings.Fields(value)
		}
	}
	return nil
}

// parseCapabilities reads the bounding set of capabilities in /proc/PID/status; 0 if it is not there.
func parseCapabilities(status string) uint64 {
	words := findField(status, "CapBnd:")
	if len(words) == 0 {
		return 0
	}
	set, _ := strconv.ParseUint(words[0], 16, 64)
	return set
}

// parseMemory reads a line of /proc/meminfo, whose kB are KiB, and returns GiB.
func parseMemory(meminfo, name string) float64 {
	words := findField(meminfo, name)
	if len(words) == 0 {
		return 0
	}
	kib, _ := strconv.ParseFloat(words[0], 64)
	return kib / (1 << 20)
}

// parseRoutes reads /proc/net/route: the interface, the destination and, in the eighth column, its mask; both are
// little-endian hexadecimal numbers.
func parseRoutes(table string) []Route {
	var all []Route
	for line := range strings.Lines(table) {
		words := strings.Fields(line)
		if len(words) < 8 {
			continue
		}
		address, ok := parseHexAddress(words[1])
		mask, maskOK := parseHexAddress(words[7])
		if !ok || !maskOK {
			continue // the heading
		}
		bits := 0
		for _, b := range mask.As4() {
			for ; b&0x80 != 0; b <<= 1 {
				bits++
			}
		}
		all = append(all, Route{To: netip.PrefixFrom(address, bits), Interface: words[0]})
	}
	return all
}

func parseHexAddress(text string) (netip.Addr, bool) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != 4 {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte{raw[3], raw[2], raw[1], raw[0]}), true
}
