package api

import "fmt"

// FormatMachines returns a number of machines for people: "1 machine", "3 machines".
func FormatMachines(n int) string {
	if n == 1 {
		return "1 machine"
	}
	return fmt.Sprintf("%d machines", n)
}
